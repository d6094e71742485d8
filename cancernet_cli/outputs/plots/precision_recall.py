"""The precision-recall curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.lines import Line2D
from sklearn.metrics import average_precision_score, precision_recall_curve

from cancernet_cli.outputs.plots.canvas import GREY, colour, legend, mark_threshold, new_figure, save, short, style
from cancernet_cli.outputs.plots.series import Series

_DOTS = (0, (1, 2))


def plot_precision_recall(
    series: Sequence[Series],
    path: Path,
    *,
    title: str = "",
    stamp: str = "",
    thresholds: Mapping[str, float] | None = None,
) -> None:
    """Precision over recall, one curve for each of `series`, with its average precision and the counts.

    A dotted line shows what chance would give: the share of the positive class. A series of one class has no curve; the
    legend says so.

    Args:
        thresholds: a series' name to the decision threshold that is marked on its curve.
    """
    figure = new_figure(6.4, 6.0 + 0.2 * len(series))
    axes = figure.add_subplot()
    style(axes, "Recall (sensitivity)", "Precision (positive predictive value)")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    handles: list[Any] = []
    for i, one in enumerate(series):
        if not one.has_both_classes:
            handles.append(Line2D([], [], color="none", label=f"{short(one.name)}: only one class ({one.size})"))
            continue
        precision, recall, _ = precision_recall_curve(one.labels, one.scores, sample_weight=one.weights)
        area = average_precision_score(one.labels, one.scores, sample_weight=one.weights)
        words = f"{short(one.name)}: AUPRC {area:.3f} ({one.size})"
        # A step keeps each recall's own precision: between two points nothing is known, so no slope is drawn.
        handles += axes.plot(recall, precision, color=colour(i), linewidth=2, drawstyle="steps-post", label=words)
        share = one.positives / (one.positives + one.negatives)
        axes.axhline(share, color=colour(i), linewidth=1, linestyle=_DOTS)
        if thresholds and one.name in thresholds:
            sensitivity, _, ppv = one.rates(thresholds[one.name])
            words = f"recall {sensitivity:.2f}, precision {ppv:.2f}"
            handles.append(mark_threshold(axes, sensitivity, ppv, thresholds[one.name], words, colour(i)))
    handles.append(
        Line2D([], [], color=GREY, linewidth=1, linestyle=_DOTS, label="chance: share of the positive class")
    )
    legend(figure, handles)
    save(figure, path, title=title or "Precision-recall curve", stamp=stamp)
