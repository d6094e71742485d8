"""The record of a figure, and what it takes to add one to the table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from cancernet_cli.cli.app import main
from cancernet_cli.cli.render.comparison import comparison_parts
from cancernet_cli.core import figures
from cancernet_cli.core.figures import FIGURES, Figure, FigureSpec, Interval
from cancernet_cli.engine.compare.figures import cell_figures
from cancernet_cli.metrics import decisions
from cancernet_cli.outputs.reports.comparison_table import table_row
from tests.engine.compare.test_figures import images, logits
from tests.prediction_tables import OURS, write_predictions

TOY = FigureSpec("toy", "toy figure", "decisions", ("images", "slides", "comparison"), interval=True)


@pytest.mark.parametrize(
    "figure",
    [
        Figure(0.9, 12),
        Figure(None, 3, "only one class"),
        Figure(0.5, 40, interval=Interval(0.4, 0.6, "patient", 8, 1000)),
        Figure(0.5, 40, interval=Interval(None, None, "image", 40, reason="fewer than 2 images of a class")),
        Figure(0.1, 40, parameters={"bins": 15}),
    ],
)
def test_a_figure_survives_json(figure: Figure) -> None:
    assert Figure.from_json(json.loads(json.dumps(figure.to_json()))) == figure


def test_figures_of_cards_and_of_older_files_can_be_read() -> None:
    card = Figure.from_json({"value": 0.8, "count": 530, "low": 0.7, "high": 0.9, "interval_units": 20})
    assert (card.text(), card.interval) == ("0.80 (0.70-0.90)", Interval(0.7, 0.9, "patient", 20))
    assert Figure.from_json(None).text() == "-"
    assert Figure.of(float("nan"), 3) == Figure(None, 3, "undefined")


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Callable[[np.ndarray], np.ndarray]:
    """A new figure, in two edits: its function, and its entry in the table."""

    def share_called_positive(matrix: np.ndarray) -> np.ndarray:
        return matrix[..., :, 1].sum(axis=-1) / matrix.sum(axis=(-2, -1))

    monkeypatch.setattr(decisions, "toy", share_called_positive, raising=False)
    monkeypatch.setattr(figures, "FIGURES", (*FIGURES, TOY))
    return share_called_positive


@pytest.mark.usefixtures("toy")
def test_a_new_figure_is_in_every_output_of_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_predictions(tmp_path / "preds.parquet", metadata=OURS)
    with pytest.raises(SystemExit) as left:
        main(["evaluate", str(table), "--resamples", "100", "--no-plots"])
    assert left.value.code in (0, None)
    terminal = capsys.readouterr().out
    out = tmp_path / "preds.evaluation"
    metrics = json.loads((out / "metrics.json").read_text())
    found = metrics["images"]["toy"]
    confusion = metrics["images"]["confusion"]
    assert found["value"] == pytest.approx((confusion["tp"] + confusion["fp"]) / 80)
    assert (found["interval_units"], found["resamples"]) == (16, 100)
    assert found["low"] < found["value"] < found["high"]
    assert "toy" in metrics["by_slide"]
    assert f"| toy figure | {Figure.from_json(found).text(3, to=' to ')} | 80 |" in (out / "report.md").read_text()
    assert f"toy figure {Figure.from_json(found).text()} 80" in " ".join(terminal.split())


@pytest.mark.usefixtures("toy")
def test_a_new_figure_is_a_column_of_compare() -> None:
    cell: dict[str, Any] = {
        **{"network": "vgg16", "segmenter": "unet", "classifier": "softmax", "is_baseline": False, "weights": ""},
        **{"random_weights": False, "images": 40, "patients": 10, "features": 5, "seconds": {"training": 1.0}},
        **{"figures": cell_figures(logits(), images()), "leaking_by_image": None},
    }
    row = table_row(cell)
    assert row["toy_low"] < row["toy"] < row["toy_high"]
    comparison = {"images": 40, "patients": 10, "classes": ["benign", "malignant"], "split": "5 folds by patient"}
    comparison |= {"recipe": "paper", "seed": 0, "leaks": [], "leaking": False, "rows": [row]}
    console = Console(width=100, no_color=True)
    with console.capture() as captured:
        for part in comparison_parts(comparison):
            console.print(part)
    headings, _, shown = captured.get().splitlines()[:3]
    assert "toy figure" in headings
    assert f"{row['toy']:.2f}" in shown.split()
