"""ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from cancernet_cli.core.arrays import F64, Bools
from cancernet_cli.outputs.plots.canvas import GREY, colour, legend, mark_threshold, new_figure, save, short, style

_DASHES, _DOTS = (0, (4, 3)), (0, (1, 2))


class Band(NamedTuple):
    """Sensitivity from `low` to `high` at each false positive rate `x`, `[P]` each; of: what it is, for the legend."""

    x: F64
    low: F64
    high: F64
    of: str


@dataclass(frozen=True)
class Series:
    """The data of one curve.

    labels: `[N]`, True for the positive class. scores: `[N]`, probability of the positive class. weights: `[N]`, the
    images (or patients) per entry; None for one each. band: around its ROC curve; None for none. note: added to the
    counts in the legend.
    """

    name: str
    labels: Bools
    scores: F64
    weights: F64 | None = None
    band: Band | None = None
    note: str = ""

    @property
    def counts(self) -> F64:
        """The weights, or ones."""
        return np.ones(len(self.labels)) if self.weights is None else np.asarray(self.weights, dtype=np.float64)

    @property
    def positives(self) -> int:
        """Number in the positive class."""
        return round(float(self.counts[np.asarray(self.labels, dtype=bool)].sum()))

    @property
    def negatives(self) -> int:
        """Number in the negative class."""
        return round(float(self.counts.sum())) - self.positives

    @property
    def has_both_classes(self) -> bool:
        """Whether a curve exists."""
        return self.positives > 0 and self.negatives > 0

    @property
    def size(self) -> str:
        """The counts as text."""
        return f"{self.positives:,} positive, {self.negatives:,} negative{f'; {self.note}' if self.note else ''}"

    def rates(self, threshold: float) -> tuple[float, float, float]:
        """Sensitivity, specificity and precision if the positive class is predicted at or above the threshold.

        NaN if a class is empty, or nothing is predicted as positive.
        """
        true, called, n = np.asarray(self.labels, dtype=bool), np.asarray(self.scores) >= threshold, self.counts
        hits = float(n[true & called].sum())
        return (
            _share(hits, float(n[true].sum())),
            _share(float(n[~true & ~called].sum()), float(n[~true].sum())),
            _share(hits, float(n[called].sum())),
        )


def plot_roc(
    series: Sequence[Series],
    path: Path,
    *,
    title: str = "",
    stamp: str = "",
    thresholds: Mapping[str, float] | None = None,
) -> None:
    """Sensitivity over 1 - specificity, one curve per series, with its band, the area under it and the counts.

    A series with only one class has no curve; the legend says so.

    Args:
        thresholds: a series' name to the decision threshold that is marked on its curve.
    """
    figure, axes = _square(series, "1 − specificity (false positive rate)", "Sensitivity (true positive rate)")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=_DASHES)

    def draw(one: Series, ink: str) -> list[Any]:
        false_positive, true_positive, _ = roc_curve(one.labels, one.scores, sample_weight=one.weights)
        area = roc_auc_score(one.labels, one.scores, sample_weight=one.weights)
        words = f"{short(one.name)}: AUROC {area:.3f} ({one.size})"
        handles: list[Any] = axes.plot(false_positive, true_positive, color=ink, linewidth=2, label=words)
        if one.band is not None:
            x, low, high, of = one.band
            axes.fill_between(x, low, high, color=ink, alpha=0.15, linewidth=0)
            handles.append(Patch(facecolor=ink, alpha=0.15, label=of))
        if thresholds and one.name in thresholds:
            sensitivity, specificity, _ = one.rates(thresholds[one.name])
            words = f"sensitivity {sensitivity:.2f}, specificity {specificity:.2f}"
            handles.append(mark_threshold(axes, 1 - specificity, sensitivity, thresholds[one.name], words, ink))
        return handles

    chance = Line2D([], [], color=GREY, linewidth=1, linestyle=_DASHES, label="chance: AUROC 0.5")
    legend(figure, [*_draw_all(series, draw), chance])
    save(figure, path, title=title or "ROC curve", stamp=stamp)


def plot_precision_recall(
    series: Sequence[Series],
    path: Path,
    *,
    title: str = "",
    stamp: str = "",
    thresholds: Mapping[str, float] | None = None,
) -> None:
    """Precision over recall, one curve per series, with its average precision and the counts.

    A dotted line shows chance: the share of the positive class. A series with only one class has no curve; the legend
    says so.

    Args:
        thresholds: a series' name to the decision threshold that is marked on its curve.
    """
    figure, axes = _square(series, "Recall (sensitivity)", "Precision (positive predictive value)")

    def draw(one: Series, ink: str) -> list[Any]:
        precision, recall, _ = precision_recall_curve(one.labels, one.scores, sample_weight=one.weights)
        area = average_precision_score(one.labels, one.scores, sample_weight=one.weights)
        words = f"{short(one.name)}: AUPRC {area:.3f} ({one.size})"
        # A step keeps each recall's own precision: between two points nothing is known, so no slope is drawn.
        handles: list[Any] = axes.plot(recall, precision, color=ink, linewidth=2, drawstyle="steps-post", label=words)
        share = one.positives / (one.positives + one.negatives)
        axes.axhline(share, color=ink, linewidth=1, linestyle=_DOTS)
        if thresholds and one.name in thresholds:
            sensitivity, _, ppv = one.rates(thresholds[one.name])
            words = f"recall {sensitivity:.2f}, precision {ppv:.2f}"
            handles.append(mark_threshold(axes, sensitivity, ppv, thresholds[one.name], words, ink))
        return handles

    words = "chance: share of the positive class"
    chance = Line2D([], [], color=GREY, linewidth=1, linestyle=_DOTS, label=words)
    legend(figure, [*_draw_all(series, draw), chance])
    save(figure, path, title=title or "Precision-recall curve", stamp=stamp)


def _square(series: Sequence[Series], x: str, y: str) -> tuple[Figure, Axes]:
    """Axes from 0 to 1, with room for a legend."""
    figure = new_figure(6.4, 6.0 + 0.2 * len(series))
    axes = figure.add_subplot()
    style(axes, x, y)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    return figure, axes


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _draw_all(series: Sequence[Series], draw: Callable[[Series, str], list[Any]]) -> list[Any]:
    """Draw each series in its colour; returns the entries of the legend."""
    handles: list[Any] = []
    for i, one in enumerate(series):
        if one.has_both_classes:
            handles += draw(one, colour(i))
        else:
            handles.append(Line2D([], [], color="none", label=f"{short(one.name)}: only one class ({one.size})"))
    return handles
