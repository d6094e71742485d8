"""The examples run unchanged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cancernet_cli.core.cards import read_card
from cancernet_cli.data.discovery.names.breakhis import parse_breakhis

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
FIELDS = sorted(path for path in (EXAMPLES / "slides").rglob("*") if path.is_file() and path.suffix != ".md")
MODELS = sorted(card.parent for card in (ROOT / "models").glob("*/card.toml"))


def run(*arguments: str | Path, cwd: Path) -> str:
    """The output of a script in `examples/`."""
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_classify_from_python_and_show_predictions(tmp_path: Path) -> None:
    out = tmp_path / "predictions.parquet"
    said = run(EXAMPLES / "classify_from_python.py", EXAMPLES / "slides", out, cwd=tmp_path)
    table = pq.read_table(out)
    assert table.column("path").to_pylist() == [path.relative_to(EXAMPLES / "slides").as_posix() for path in FIELDS]
    assert set(table.column("status").to_pylist()) == {"ok"}
    assert said.count("P(malignant)") == len(FIELDS)

    shown = run(EXAMPLES / "show_predictions.py", out, "overlays", cwd=tmp_path)
    correct = sum(row["label"] == row["true_label"] for row in table.to_pylist())
    assert f"6 images with a known label: {correct} correct" in shown
    assert shown.count("(none)") == 2
    assert "overlays/" in shown.splitlines()[-1]


def test_the_notebook_is_stored_without_outputs() -> None:
    cells = json.loads((EXAMPLES / "quickstart.ipynb").read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_notebook_runs(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    book = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    nbclient.NotebookClient(book, timeout=200, resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.data for output in outputs if "data" in output]
    pages = [data["text/html"] for data in shown if "RunResult" in data.get("text/html", "")]
    assert len(pages) == 1
    assert "breakhis_lite0" in pages[0]
    assert sum("image/jpeg" in data or "image/png" in data for data in shown) == 2
    texts = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "classify" in texts or any("classify" in str(data) for data in shown)  # progress is shown


def test_show_predictions_tells_apart_what_became_of_images(tmp_path: Path) -> None:
    rows = [
        ("a.png", "ok", "benign", "malignant", 0.9, ""),
        ("b.png", "ok", "malignant", "malignant", 0.875, None),
        ("c.png", "ok", "benign", "unsure", 0.5, "out_of_domain,blurred"),
        ("d.png", "ok", None, "benign", 0.25, "no_tissue"),
        ("e.png", "failed", "benign", None, None, None),
    ]
    names = ["path", "status", "true_label", "label", "prob_malignant", "flags"]
    pq.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), tmp_path / "t.parquet")
    assert run(EXAMPLES / "show_predictions.py", "t.parquet", "overlays", cwd=tmp_path).splitlines() == [
        "file   true label  label      P(malignant)  flags                  result",
        "a.png  benign      malignant  0.900                                WRONG",
        "b.png  malignant   malignant  0.875                                correct",
        "c.png  benign      unsure     0.500         out_of_domain,blurred  unsure",
        "d.png  (none)      benign     0.250         no_tissue",
        "e.png  benign                                                      failed",
        "",
        "3 images with a known label: 1 correct, 1 wrong, 1 unsure. Flagged: 2 of 5 images.",
        "An image with its mask's contour and its label: overlays/b.png.overlay.jpg",
    ]


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: path.name)
def test_fields_are_what_the_readme_says(path: Path) -> None:
    with Image.open(path) as image:
        assert (image.size, image.mode) == ((700, 460), "RGB")
    known = parse_breakhis(path.name)
    assert path.parent.name == (known.label if known else "other")


def test_fields_come_in_three_formats_and_stay_small() -> None:
    assert {path.suffix for path in FIELDS} == {".png", ".jpg", ".tif"}
    assert sum(path.stat().st_size for path in FIELDS) < 6_000_000


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_no_model_was_trained_on_the_cases_of_the_fields(model: Path) -> None:
    trained_on = {patient for part in read_card(model).training.splits.values() for patient in part}
    cases = {known.patient for path in FIELDS if (known := parse_breakhis(path.name))}
    assert len(cases) == 4
    assert trained_on
    assert not cases & trained_on
