"""Plots as PNG files, drawn with matplotlib objects only: no shared state, and the same bytes for the same data.

Every function takes the `path` to write, and the keywords `title` and `stamp`: a warning drawn large and red across the
plot, so that a figure that is not an estimate cannot be shown without it.
"""

from __future__ import annotations

from cancernet_cli.outputs.plots.bench import plot_bench
from cancernet_cli.outputs.plots.confusion import plot_confusion
from cancernet_cli.outputs.plots.curves import Band, Series, plot_precision_recall, plot_roc
from cancernet_cli.outputs.plots.history import plot_histories, plot_history
from cancernet_cli.outputs.plots.intervals import Row, plot_intervals
from cancernet_cli.outputs.plots.reliability import plot_reliability
from cancernet_cli.outputs.plots.thresholds import plot_thresholds

__all__ = [
    "Band",
    "Row",
    "Series",
    "plot_bench",
    "plot_confusion",
    "plot_histories",
    "plot_history",
    "plot_intervals",
    "plot_precision_recall",
    "plot_reliability",
    "plot_roc",
    "plot_thresholds",
]
