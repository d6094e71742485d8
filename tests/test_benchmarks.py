"""Every benchmark runs at its smallest size and records machine and command; its results are not judged here."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cancernet_cli import FinetuneOptions, finetune
from tests.he_images import he_like

ROOT = Path(__file__).resolve().parents[1]
SLIDES = str(ROOT / "examples" / "slides")
CALLS = {
    "abstention.py": ["trained/out_of_fold.parquet", "--divisions", "1"],
    "compare_plain.py": [SLIDES, "--rounds", "1"],
    "compare_training.py": [SLIDES, "--rounds", "1", "--steps", "1", "--batch-size", "2"],
    "compare_slides.py": ["--columns", "6", "--rows", "5", "--rounds", "1"],
    "compare_tiatoolbox.py": [SLIDES, "--rounds", "1"],
    "decoders.py": [SLIDES, "--rounds", "1", "--files", "1"],
    "evaluate_scale.py": ["--rows", "20000", "--patients", "50"],
    "explain.py": ["labelled", "--model", "trained", "--per-case", "1", "--repeats", "1"],
    "fold_accuracy.py": ["labelled", "--folds", "2", "--backbone", "test_efficientnet", "--weights", "none"],
    "fuzz.py": ["--files", "1000", "--seed", "1", "--limit-s", "120"],
    "gpu.py": [
        *("--device", "cpu", "--precision", "fp32", "--backbones", "test_efficientnet", "--batch-sizes", "2"),
        *("--files", "16", "--size", "96x64", "--repeat", "1"),
    ],
    "kill_resume.py": [SLIDES, "--kills", "1"],
    "measure_demo.py": ["--rounds", "1", "--files", "14"],
    "memory.py": ["--counts", "20", "40", "--limit-mb", "1000"],  # so short a run's peak falls between two samples
    "memory_slides.py": ["--sides", "1500", "2500", "--view-px", "64", "--limit-mb", "1000"],
    "nested_choice.py": [
        *("labelled", "--folds", "2", "--inner-folds", "2", "--repeats", "2"),
        *("--recipe", 'one = {backbone = "test_efficientnet", weights = "none", segmenter = "none"}'),
        *("--recipe", 'two = {backbone = "test_efficientnet", weights = "none", segmenter = "none", scale = 1.0}'),
    ],
    "tinted_images.py": [
        *("labelled", "--folds", "2", "--divisions", "1"),
        *("--options", 'backbone = "test_efficientnet", weights = "none", segmenter = "none"'),
    ],
    "out_of_domain.py": ["labelled", "--folds", "2", "--divisions", "1", "--per-case", "1", "--segmenter", "none"],
    "read_tiles.py": ["--side-px", "1600", "--mpp", "0.25", "0.5", "--tiles", "20", "--rounds", "1", "--least", "0"],
    "tint.py": ["labelled", "--folds", "2"],
    "train_bundled.py": ["labelled", "--model", "trained"],
}
ENVIRONMENTS = Path.home() / ".cache" / "cancernet-benchmarks"
NEEDS = {
    "compare_slides.py": ("tiatoolbox-2.1.3", "wsinfer-0.6.1"),
    "compare_tiatoolbox.py": ("tiatoolbox-2.1.3",),
}
PARTS = {
    "damaged_files.py",
    "environments.py",
    "folders.py",
    "foreign_images.py",
    "gpu_steps.py",
    "gpu_watch.py",
    "growth.py",
    "killing.py",
    "machine.py",
    "mixed_folder.py",
    "plain_script.py",
    "plain_training.py",
    "processes.py",
    "results_table.py",
    "slide_files.py",
    "tiatoolbox_script.py",
    "tiatoolbox_slide_script.py",
    "wsinfer_script.py",
}  # what the benchmarks are made of


def write_labelled(folder: Path) -> None:
    """Eight patients of two classes, one image each, with BreakHis file names."""
    for seed in range(8):
        label, code = (("benign", "B_A"), ("malignant", "M_DC"))[seed % 2]
        path = folder / label / f"SOB_{code}-14-{1000 + seed}-100-001.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(he_like(seed, 64, 48)).save(path)


def write_trained(labelled: Path, folder: Path) -> None:
    """A model whose card has the command that trained it."""
    quick = FinetuneOptions(out=folder, backbone="test_efficientnet", weights="none", segmenter="none", folds=2)
    finetune([str(labelled)], quick)


def test_no_benchmark_is_forgotten() -> None:
    assert {path.name for path in (ROOT / "benchmarks").glob("*.py")} == CALLS.keys() | PARTS
    documented = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    for name in CALLS:
        assert name in documented


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CALLS)
def test_runs_and_reports(name: str, tmp_path: Path) -> None:
    for environment in NEEDS.get(name, ()):
        if not (ENVIRONMENTS / environment).is_dir():
            pytest.skip(f"{environment} (7 GB, made by the benchmark's first call) is not in {ENVIRONMENTS}")
    out = tmp_path / "result.json"
    words = {word.split("/")[0] for word in CALLS[name]}
    if words & {"labelled", "trained"}:
        write_labelled(tmp_path / "labelled")
    if "trained" in words:
        write_trained(tmp_path / "labelled", tmp_path / "trained")
    command = [sys.executable, str(ROOT / "benchmarks" / name), *CALLS[name], "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text("utf-8"))
    assert {"date", "command", "machine", "versions"} < result.keys()
    assert json.loads(done.stdout) == result


def test_results_have_no_private_path() -> None:
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        result = json.loads(path.read_text("utf-8"))
        assert result["command"].startswith("python benchmarks/")
        assert "shared" not in result["command"]
        assert not any(word.startswith("/") for word in result["command"].split())


def test_the_table_of_results_matches_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    results_table = importlib.import_module("results_table")
    folder = results_table.RESULTS
    expected = {results_table.row(path) for path in folder.glob("*.json")}
    rows = [line for line in (folder / results_table.TABLE).read_text("utf-8").splitlines() if line.startswith("| 2")]
    assert len(rows) > 5
    assert not set(rows) - expected, "make it anew: python benchmarks/results_table.py"


def test_the_table_of_results_shows_the_most_informative_values(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    results_table = importlib.import_module("results_table")
    result = {
        "date": "2026-01-02",
        "machine": {"processor": "A", "cores": 2, "gpu": None, "load_before": [0.25, 0.1, 0.1], "memory_gb": 3},
        "files": 40,
        "cancernet": {"rounds": [{"work_s": 3}], "work_images_per_s": 12345.6, "work_ratio": 3.14159},
        "same_bytes": True,
    }
    (tmp_path / "2026-01-02-thing-2cores.json").write_text(json.dumps(result), "utf-8")
    results_table.write(tmp_path)
    assert (tmp_path / "README.md").read_text("utf-8").splitlines()[-1] == (
        "| 2026-01-02 | [thing-2cores](2026-01-02-thing-2cores.json) | A, 2 cores | 0.25 "
        "| cancernet.work_ratio 3.14; cancernet.work_images_per_s 12,346; same_bytes yes |"
    )
