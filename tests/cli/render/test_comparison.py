"""A comparison on terminals of several widths."""

from __future__ import annotations

from rich.console import Console

from cancernet_cli.cli.render.comparison import comparison_parts
from tests.comparisons import COMPARISON, ROW


def shown(comparison: dict[str, object], width: int = 100) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        for part in comparison_parts(comparison):
            console.print(part)
    return captured.get()


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
