"""The receiver operating characteristic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.lines import Line2D
from sklearn.metrics import roc_auc_score, roc_curve

from cancernet_cli.outputs.plots.canvas import GREY, colour, legend, mark_threshold, new_figure, save, short, style
from cancernet_cli.outputs.plots.series import Series


def plot_roc(
    series: Sequence[Series],
    path: Path,
    *,
    title: str = "",
    stamp: str = "",
    thresholds: Mapping[str, float] | None = None,
) -> None:
    """Sensitivity over 1 - specificity, one curve for each of `series`, with the area under it and the counts.

    A series of one class has no curve; the legend says so.

    Args:
        thresholds: a series' name to the decision threshold that is marked on its curve.
    """
    figure = new_figure(6.4, 6.0 + 0.2 * len(series))
    axes = figure.add_subplot()
    style(axes, "1 − specificity (false positive rate)", "Sensitivity (true positive rate)")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    handles: list[Any] = []
    for i, one in enumerate(series):
        if not one.has_both_classes:
            handles.append(Line2D([], [], color="none", label=f"{short(one.name)}: only one class ({one.size})"))
            continue
        false_positive, true_positive, _ = roc_curve(one.labels, one.scores, sample_weight=one.weights)
        area = roc_auc_score(one.labels, one.scores, sample_weight=one.weights)
        words = f"{short(one.name)}: AUROC {area:.3f} ({one.size})"
        handles += axes.plot(false_positive, true_positive, color=colour(i), linewidth=2, label=words)
        if thresholds and one.name in thresholds:
            sensitivity, specificity, _ = one.rates(thresholds[one.name])
            words = f"sensitivity {sensitivity:.2f}, specificity {specificity:.2f}"
            handles.append(mark_threshold(axes, 1 - specificity, sensitivity, thresholds[one.name], words, colour(i)))
    handles.append(Line2D([], [], color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="chance: AUROC 0.5"))
    legend(figure, handles)
    save(figure, path, title=title or "ROC curve", stamp=stamp)
