"""`cancernet compare` on the command line: the table for people and for programs, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from cancernet_cli.cli.app import main
from cancernet_cli.cli.render.comparison import comparison_parts
from cancernet_cli.outputs.reports.comparison_table import claim_table, figure_table, headline, write_tables

ROW = {
    "network": "tf_efficientnet_lite0",
    "segmenter": "watershed",
    "classifier": "softmax",
    "is_baseline": False,
    "weights": "ImageNet",
    "random_weights": False,
    "images": 530,
    "patients": 20,
    "features": 15680,
    "precision": 0.561,
    "recall": 0.684,
    "f1": 0.617,
    "log_loss": 14.063,
    "accuracy": 0.596,
    "accuracy_low": 0.5,
    "accuracy_high": 0.73,
    "auroc": 0.668,
    "auroc_low": 0.545,
    "auroc_high": 0.846,
    "auroc_by_patient": 0.833,
    "tn": 145,
    "fp": 135,
    "fn": 79,
    "tp": 1171,
    "leaking_accuracy": 0.864,
    "leaking_auroc": 0.948,
    "seconds": 4512.3,
}
COMPARISON = {
    "recipe": "paper",
    "seed": 0,
    "classes": ["benign", "malignant"],
    "images": 530,
    "patients": 20,
    "split": "5 folds by patient",
    "leaks": [],
    "leaking": True,
    "rows": [ROW],
}


def shown(comparison: dict[str, object], width: int = 100) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        for part in comparison_parts(comparison):
            console.print(part)
    return captured.get()


def test_a_row_as_text() -> None:
    (figures,), (claims,) = figure_table([ROW]), claim_table([ROW])
    assert figures == {
        "network": "tf_efficientnet_lite0",
        "segmenter": "watershed",
        "AUROC": "0.67 (0.55-0.85)",
        "accuracy": "0.60 (0.50-0.73)",
        "recall": "0.68",
        "precision": "0.56",
        "F1": "0.62",
        "loss": "14.06",
        "s": "4512",
    }
    assert claims == {
        "network": "tf_efficientnet_lite0",
        "segmenter": "watershed",
        "TN": "145",
        "FP": "135",
        "FN": "79",
        "TP": "1,171",
        "AUROC by patient": "0.83",
        "if leaking: AUROC": "0.95",
        "if leaking: accuracy": "0.86",
    }
    assert headline(ROW) == "tf_efficientnet_lite0, watershed: AUROC 0.67 (0.55-0.85), accuracy 0.60 (0.50-0.73)"


def test_undefined_figures_are_dashes() -> None:
    unknown = ROW | {"precision": None, "auroc_low": None, "auroc_high": None, "leaking_auroc": None, "tn": None}
    (figures,), (claims,) = figure_table([unknown]), claim_table([unknown])
    assert (figures["precision"], figures["AUROC"]) == ("-", "0.67")
    assert (claims["TN"], claims["if leaking: AUROC"]) == ("-", "-")


def test_the_longest_usual_row_fits_into_a_hundred_columns() -> None:
    (line,) = [line for line in shown(COMPARISON).splitlines() if "0.60 (0.50-0.73)" in line]
    assert "tf_efficientnet_lite0" in line
    assert "4512" in line


def test_a_narrow_terminal_drops_whole_columns_and_names_them() -> None:
    lines = shown(COMPARISON, 60).splitlines()
    assert max(map(len, lines)) <= 60
    (row, *_) = [line for line in lines if "tf_efficientnet_lite0" in line]
    assert row.split() == ["tf_efficientnet_lite0", "watershed", "0.67", "(0.55-0.85)"]
    assert "(too narrow for accuracy, recall, precision, F1, loss, s)" in lines


def test_what_a_reader_must_know_is_below() -> None:
    words = " ".join(shown(COMPARISON).split())
    assert "530 images of 20 patients (benign, malignant), 5 folds by patient; recipe paper, seed 0." in words
    assert "Precision, recall and F1 are of malignant." in words
    assert "Not a result, but what such a split would have claimed" in words
    assert "Random weights" not in words
    random = COMPARISON | {"rows": [ROW | {"random_weights": True}], "leaks": ["patient 7 is in folds 0, 1"]}
    words = " ".join(shown(random).split())
    assert "(random weights)" in words
    assert "Random weights: no ImageNet weights were available" in words
    assert "LEAKING: patient 7 is in folds 0, 1" in words


def test_baselines_are_named_by_what_learns() -> None:
    row = ROW | {"network": "texture", "classifier": "naive-bayes", "is_baseline": True}
    assert figure_table([row])[0]["network"] == "texture, naive bayes"


def test_the_markdown_table_is_whole(tmp_path: Path) -> None:
    write_tables(COMPARISON, tmp_path)
    lines = (tmp_path / "table.md").read_text().splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert len(tables) == 6
    assert [line.count("|") for line in tables] == [10] * 3 + [10] * 3


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    printed = capsys.readouterr()
    return int(left.value.code or 0), printed.out, printed.err


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cancernet_cli.engine.compare.plots.plot_confusion", lambda *a, **k: None)
    monkeypatch.setattr("cancernet_cli.engine.compare.plots.plot_history", lambda *a, **k: None)
    monkeypatch.setattr("cancernet_cli.engine.compare.plots.plot_intervals", lambda *a, **k: None)


def test_the_command_prints_json_and_then_refuses_other_options(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", str(tiny_folder), "--out", str(tmp_path / "out"), "--backbones", "test_efficientnet"]
    command += ["--segmenters", "threshold", "--weights", "none", "--folds", "2", "--epochs", "1", "--no-baselines"]
    command += ["--workers", "0", "--device", "cpu", "--format", "json"]
    code, out, err = run(capsys, *command)
    assert code == 0, err
    found = json.loads(out)
    assert found["out"] == str(tmp_path / "out")
    assert [row["network"] for row in found["rows"]] == ["test_efficientnet"]
    assert "features, test_efficientnet, threshold: 8/8 images" in err
    code, out, err = run(capsys, *command, "--seed", "1")
    assert code == 6
    assert out == ""
    assert "was made with" in err
    assert "--overwrite" in err


def test_a_weights_option_that_makes_no_sense_is_a_usage_error(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(
        capsys, "compare", str(tiny_folder), "--out", str(tmp_path / "out"), "--weights", "w.safetensors"
    )
    assert code == 2
    assert "give imagenet, none, or name=file" in err
