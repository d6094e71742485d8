"""Figures of a classifier as records, and the one table that lists them all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Table = Literal["images", "magnifications", "slides", "patients", "differences", "comparison", "headline", "masks"]

# From keys in metrics files to fields of `Interval`, in the order in which they are written
_INTERVAL_KEYS = {"low": "low", "high": "high", "interval_unit": "unit", "interval_units": "units"}
_INTERVAL_KEYS |= {"resamples": "resamples", "interval_reason": "reason", "interval_method": "method"}


@dataclass(frozen=True)
class Interval:
    """A 95 % interval, or why there is none.

    unit: what was resampled: `patient`, or `image` (or `slide`) when some patients are unknown. units: how many there
    are. resamples: how many could be used (one without a class has no AUROC). method: percentiles of a bootstrap, or,
    for a value of exactly 0 or 1, an exact one-sided bound (`metrics.exact`).
    """

    low: float | None = None
    high: float | None = None
    unit: str = "patient"
    units: int = 0
    resamples: int = 0
    reason: str = ""
    method: Literal["bootstrap", "exact"] = "bootstrap"


@dataclass(frozen=True)
class Figure:
    """One number with its interval, the number of images (or patients) behind it, or why it is undefined.

    parameters: settings of the measure, as the number of bins. each: where the value is a mean over divisions into
    folds, the value of each division.
    """

    value: float | None
    count: int = 0
    reason: str = ""
    interval: Interval | None = None
    parameters: Mapping[str, int] = field(default_factory=dict)
    each: tuple[float, ...] = ()

    @classmethod
    def of(cls, value: float | None, count: int, reason: str = "", **parameters: int) -> Figure:
        """A figure of a computed value; NaN and None are undefined and get a reason."""
        if value is None or not math.isfinite(value):
            return cls(None, int(count), reason or "undefined", None, parameters)
        return cls(float(value), int(count), "", None, parameters)

    @classmethod
    def from_json(cls, found: Mapping[str, Any] | None) -> Figure:
        """A figure as metrics files and model cards hold it; None is an undefined one."""
        if found is None:
            return cls(None)
        interval = None
        if "interval_unit" in found or found.get("low") is not None:
            interval = Interval(**{name: found[key] for key, name in _INTERVAL_KEYS.items() if key in found})
        parameters = {name: found[name] for name in ("bins",) if name in found}
        each = found.get("each", ())
        each = tuple(map(float, each.split() if isinstance(each, str) else each))  # a card holds them as text
        return cls(found["value"], found.get("count", 0), found.get("reason", ""), interval, parameters, each)

    def to_json(self) -> dict[str, Any]:
        """The figure as metrics files hold it: `{value, count, reason?, low?, high?, interval_unit?, ...}`."""
        found: dict[str, Any] = {"value": self.value, "count": self.count, **self.parameters}
        if self.value is None:
            found["reason"] = self.reason
        if self.each:
            found["each"] = list(self.each)
        if self.interval is not None:
            found |= {key: getattr(self.interval, name) for key, name in _INTERVAL_KEYS.items()}
            if not self.interval.reason:
                del found["interval_reason"]
            if self.interval.method == "bootstrap":
                del found["interval_method"]
        return found

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The ends of the interval, if there is one."""
        if self.interval is None or self.interval.low is None or self.interval.high is None:
            return None
        return self.interval.low, self.interval.high

    @property
    def spread(self) -> tuple[float, float] | None:
        """The lowest and the highest value over divisions into folds, if there are several."""
        return (min(self.each), max(self.each)) if self.each else None

    @property
    def is_one_sided(self) -> bool:
        """Whether the interval is an exact bound on one side."""
        return self.interval is not None and self.interval.method == "exact"

    def text(self, decimals: int = 2, *, to: str = "-", interval: bool = True) -> str:
        """`0.91 (0.85-0.95)`, `1.00 (at least 0.86)`; `0.91` without an interval, `-` without a value."""
        if self.value is None:
            return "-"
        shown = f"{self.value:.{decimals}f}"
        if self.bounds is None or not interval:
            return shown
        low, high = (f"{end:.{decimals}f}" for end in self.bounds)
        if self.is_one_sided:
            return f"{shown} (at {f'least {low}' if self.value == 1 else f'most {high}'})"
        return f"{shown} ({low}{to}{high})"


@dataclass(frozen=True)
class FigureSpec:
    """One entry of the table of figures.

    Adding a figure takes two edits: the function that measures it and an entry in `FIGURES`.

    name: key in metrics files, and the name of the function in `cancernet_cli.metrics.<measured_from>` unless
        `function` names another.
    measured_from: functions of `decisions` take confusion matrices `[..., K, K]` and give `[...]`; those of
        `predictions` and `abstention` take `Scores`; those of `patients` too, and have no interval unless all patients
        are known. Figures of `abstention` are measured only where labels are unsure.
    title: name in text and rows. heading: shorter name for columns, if needed.
    interval: whether it gets a bootstrap interval over patients.
    tables: where it appears: rows for `images` (also on model cards), columns for `magnifications`, figures of `slides`
        and `patients`, `differences` of two classifiers, and columns of `comparison`, the table of `cancernet compare`.
        A `headline` figure keeps its interval in columns, and is also shown for a split that leaks.
    weighting: whether every image weighs the same, or every case: its images share weight 1 (images of unknown patients
        are omitted). n is then a number of cases.
    bound: how a value of exactly 0 or 1 is bounded (`metrics.exact`): by the `cases` in its denominator, by those of
        the smallest `class`, by the `covered` ones of the smallest class, or not.
    """

    name: str
    title: str
    measured_from: Literal["decisions", "predictions", "patients", "abstention", "overlap"]
    tables: tuple[Table, ...] = ("images",)
    interval: bool = False
    heading: str = ""
    decimals: int = 2
    function: str = ""
    weighting: Literal["images", "cases"] = "images"
    bound: Literal["", "cases", "class", "covered"] = ""

    @property
    def column(self) -> str:
        """Heading of its column."""
        return self.heading or self.title

    @property
    def is_headline(self) -> bool:
        """Whether it is shown with its interval where space is scarce."""
        return "headline" in self.tables


def _by_case(function: str, title: str, bound: Literal["cases", "class"]) -> FigureSpec:
    """A figure of decisions in which every case has the same weight."""
    name = f"case_weighted_{function}"
    return FigureSpec(name, title, "decisions", interval=True, function=function, weighting="cases", bound=bound)


# Of masks with true masks; each function takes a `LabelOverlap`
MASK_FIGURES: tuple[FigureSpec, ...] = (
    FigureSpec("dice", "Dice", "overlap", ("masks",), decimals=3, function="mask_dice"),
    FigureSpec("jaccard", "Jaccard", "overlap", ("masks",), decimals=3),
    FigureSpec("aji", "AJI", "overlap", ("masks",), decimals=3),
    FigureSpec("pq", "PQ", "overlap", ("masks",), decimals=3),
)

FIGURES: tuple[FigureSpec, ...] = (
    FigureSpec(
        "auroc",
        "AUROC",
        "predictions",
        ("images", "magnifications", "slides", "patients", "differences", "comparison", "headline"),
        interval=True,
        bound="class",
    ),
    FigureSpec(
        "case_weighted_auroc",
        "case-weighted AUROC",
        "predictions",
        ("images", "magnifications", "differences"),
        interval=True,
        heading="weighted AUROC",
        function="auroc",
        weighting="cases",
        bound="class",
    ),
    FigureSpec("auprc", "AUPRC", "predictions"),
    FigureSpec(
        "accuracy",
        "accuracy",
        "decisions",
        ("images", "magnifications", "slides", "differences", "comparison", "headline"),
        interval=True,
        bound="cases",
    ),
    FigureSpec("balanced_accuracy", "balanced accuracy", "decisions", interval=True, bound="class"),
    _by_case("balanced_accuracy", "case-weighted balanced accuracy", "class"),
    FigureSpec(
        "recall",
        "sensitivity (recall)",
        "decisions",
        ("images", "slides", "comparison"),
        interval=True,
        heading="recall",
        bound="cases",
    ),
    _by_case("recall", "case-weighted sensitivity", "cases"),
    FigureSpec("specificity", "specificity", "decisions", ("images", "slides"), interval=True, bound="cases"),
    _by_case("specificity", "case-weighted specificity", "cases"),
    FigureSpec(
        "precision",
        "precision (PPV)",
        "decisions",
        ("images", "comparison"),
        interval=True,
        heading="precision",
        bound="cases",
    ),
    FigureSpec("f1", "F1", "decisions", ("images", "magnifications", "comparison"), True),
    FigureSpec("mcc", "Matthews correlation", "decisions", interval=True, heading="MCC"),
    FigureSpec("log_loss", "log loss", "predictions", ("images", "comparison"), heading="loss"),
    FigureSpec("brier", "Brier score", "predictions"),
    FigureSpec("ece", "ECE", "predictions", ("images", "magnifications")),
    FigureSpec("coverage", "coverage", "abstention", interval=True, bound="cases"),
    FigureSpec("covered_accuracy", "accuracy of the covered", "abstention", interval=True, bound="covered"),
    FigureSpec("covered_recall", "sensitivity of the covered", "abstention", interval=True, bound="covered"),
    FigureSpec("covered_specificity", "specificity of the covered", "abstention", interval=True, bound="covered"),
    FigureSpec("case_weighted_ece", "case-weighted ECE", "predictions", function="ece", weighting="cases"),
    FigureSpec(
        "recognition_rate",
        "recognition rate",
        "patients",
        ("patients", "differences"),
        interval=True,
        bound="cases",
    ),
)


def title_of(name: str) -> str:
    """The title of a figure; the name itself if it is not in the table of figures."""
    return next((spec.title for spec in FIGURES if spec.name == name), name)


def figures_in(table: Table) -> list[FigureSpec]:
    """The figures of one table, in the order in which they are shown."""
    return [spec for spec in FIGURES if table in spec.tables]


def plain(found: Any) -> Any:
    """Nested dicts and lists with every figure in them as JSON."""
    if isinstance(found, Figure):
        return found.to_json()
    if isinstance(found, Mapping):
        return {name: plain(value) for name, value in found.items()}
    return [plain(value) for value in found] if isinstance(found, list) else found


def interval_note(figures: Iterable[Figure]) -> str:
    """What the brackets after figures mean, or why there are none."""
    reason = ""
    notes: dict[str, str] = {}
    for figure in figures:
        if figure.bounds is not None and figure.interval is not None:
            over = f"{figure.interval.units:,} {figure.interval.unit}s"
            notes.setdefault(
                figure.interval.method,
                "at least, at most: exact one-sided 95 % bound"
                if figure.is_one_sided
                else f"brackets: 95 % bootstrap interval over {over}",
            )
        elif figure.interval is not None:
            reason = reason or figure.interval.reason
    if notes:
        return "; ".join(notes[method] for method in ("bootstrap", "exact") if method in notes)
    return f"no 95 % intervals: {reason or 'not computed'}"


def undefined(figures: Mapping[str, Figure]) -> dict[str, list[str]]:
    """Why figures are undefined: each reason with the titles of its figures."""
    found: dict[str, list[str]] = {}
    for spec in FIGURES:
        if spec.name in figures and figures[spec.name].value is None:
            found.setdefault(figures[spec.name].reason, []).append(spec.title)
    return found


def left_out(found: Mapping[str, Any], unit: str) -> str:
    """What figures by slide or by patient omit, and why: `omitted: 12 of 80 images, whose slide is unknown`; or "".

    Args:
        found: `by_slide` or `by_patient` of a metrics file. unit: `slide` or `patient`.
    """
    parts = []
    if without := found.get(f"images_without_{unit}", 0):
        parts.append(f"{without:,} of {counted(without + found.get('images', 0), 'image')}, whose {unit} is unknown")
    if several := found.get("several_labels", 0):
        total = found["count"] if unit == "patient" else found["count"] + several
        more = " (except from the recognition rate)" if unit == "patient" else ""
        parts.append(f"{several:,} of {counted(total, unit)}, whose images have several labels{more}")
    return f"omitted: {'; '.join(parts)}" if parts else ""


def read_figures(found: Mapping[str, Any], table: Table) -> dict[str, Figure]:
    """The figures of a table that a group of a metrics file has, by name; older files may have fewer."""
    return {spec.name: Figure.from_json(found[spec.name]) for spec in figures_in(table) if spec.name in found}


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 file`, `1,200 files`; `plural` if it does not only add an s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or noun + 's'}"


def show_percent(percent: float) -> str:
    """`97.3 %`; a value that would round to 0 or 100 but is neither is shown as `<0.1 %` or `>99.9 %`."""
    text = f"{percent:.1f}"
    if text == "100.0" and percent < 100:
        return ">99.9 %"
    if text == "0.0" and percent > 0:
        return "<0.1 %"
    return f"{text} %"


def division_rows(divisions: Mapping[str, Any]) -> list[tuple[str, FigureSpec, Figure]]:
    """Title, entry and mean of every figure over divisions into folds, as cards and metrics files hold them.

    Figures of images come first, then those by patient, then the AUROCs of each magnification.
    """
    rows = [(spec.title, spec, spec.name, divisions["images"]) for spec in figures_in("images")]
    patients = divisions.get("by_patient") or divisions.get("patients") or {}
    rows += [(f"{spec.title} by patient", spec, spec.name, patients) for spec in figures_in("patients")]
    ranked = [spec for spec in figures_in("magnifications") if spec.interval and spec.measured_from == "predictions"]
    groups = divisions["by_magnification"]
    for name in sorted(groups, key=lambda n: (n == "unknown", float(n) if n != "unknown" else 0)):
        of = "unknown magnification" if name == "unknown" else f"{name}x"
        if count := groups[name].get("patients"):
            of += f", {counted(count, 'patient')}"
        rows += [(f"{spec.title} ({of})", spec, spec.name, groups[name]) for spec in ranked]
    return [(title, spec, Figure.from_json(group[name])) for title, spec, name, group in rows if name in group]
