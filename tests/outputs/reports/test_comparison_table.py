"""The table of a comparison as plain values, text and Markdown."""

from __future__ import annotations

from pathlib import Path

from cancernet_cli.outputs.reports.comparison_table import claim_table, figure_table, headline, write_tables
from tests.comparisons import COMPARISON, ROW


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


def test_baselines_are_named_by_what_learns() -> None:
    row = ROW | {"network": "texture", "classifier": "naive-bayes", "is_baseline": True}
    assert figure_table([row])[0]["network"] == "texture, naive bayes"


def test_the_markdown_table_is_whole(tmp_path: Path) -> None:
    write_tables(COMPARISON, tmp_path)
    lines = (tmp_path / "table.md").read_text().splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert len(tables) == 6
    assert [line.count("|") for line in tables] == [10] * 3 + [10] * 3
