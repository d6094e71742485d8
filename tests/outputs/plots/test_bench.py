"""The plot of a measurement: bars are medians, and unmeasured stages are omitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cancernet_cli.outputs.plots import canvas, plot_bench


def spread(median: float, least: float | None = None, most: float | None = None) -> dict[str, float]:
    return {"median": median, "min": least or median, "max": most or median}


def measurement(**sweeps: Any) -> dict[str, Any]:
    return {
        "settings": {"model": "mine", "device": "cpu (2 threads)", "precision": "fp32"},
        "stages": [
            {"name": "decode", "ms": spread(8, 7, 10), "share": 0.08},
            {"name": "combine", "ms": None, "share": None},
            {"name": "segment", "ms": spread(92), "share": 0.92},
        ],
        "whole": {"images_per_s": spread(15, 14, 16)},
        "limits": {
            "decode_only": {"images_per_s": spread(60)},
            "model_only": {"images_per_s": spread(20)},
            "possible_images_per_s": 17.0,
        },
        "sweeps": sweeps,
    }


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures written, kept for inspection."""
    monkeypatch.setattr(canvas, "DPI", 50)
    kept: list[Figure] = []
    draw = FigureCanvasAgg.draw

    def keep(self: FigureCanvasAgg) -> None:
        kept.append(self.figure)
        draw(self)

    monkeypatch.setattr(FigureCanvasAgg, "draw", keep)
    return kept


def test_bars_are_medians_in_order(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_bench(measurement(), tmp_path / "b.png")
    stages, rates = drawn[0].axes
    assert [label.get_text() for label in stages.get_yticklabels()] == ["decode", "segment"]
    assert [bar.get_width() for bar in stages.patches] == [8, 92]
    assert stages.texts[0].get_text().split() == ["8", "ms", "8", "%"]
    assert [bar.get_width() for bar in rates.patches] == [15, 60, 20]
    assert "limit together 17" in [text.get_text() for text in rates.texts]
    assert stages.get_ylim()[0] > stages.get_ylim()[1]  # the first at the top


def test_one_curve_per_numeric_sweep(tmp_path: Path, drawn: list[Figure]) -> None:
    batches = [
        {"batch_size": 8, "images_per_s": spread(12, 11, 13)},
        {"batch_size": 1, "images_per_s": spread(10)},
        {"batch_size": 99, "error": "too little memory"},
    ]
    workers = [{"workers": 0, "images_per_s": spread(9)}, {"workers": 2, "images_per_s": spread(14)}]
    precision = [{"precision": "bf16", "images_per_s": spread(20)}]
    plot_bench(measurement(batch_size=batches, workers=workers, precision=precision), tmp_path / "b.png")
    assert len(drawn[0].axes) == 4
    curve = drawn[0].axes[2].lines[0]
    assert list(zip(curve.get_xdata(), curve.get_ydata(), strict=True)) == [(1, 10), (8, 12)]
    assert drawn[0].axes[3].get_xlabel() == "Workers"


def test_the_same_figures_give_the_same_bytes(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_bench(measurement(), tmp_path / "a.png", title="a title")
    plot_bench(measurement(), tmp_path / "b.png", title="a title")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
