"""Sections of a model card: the metadata that travels with a model's weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple

from cancernet_cli.core.choices import UNSURE, StainNormalization, View
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.validation import InvalidValue, Limits, check_fields

CARD_SCHEMA = 1
MOST_SIDE_PX = 16_384  # of a view: 3.2 GB as float32, more than any network takes
Task = Literal["classify", "segment"]


def entry(default: Any, **limits: Any) -> Any:
    """A card's field with limits on its value, given as arguments of `validation.Limits`."""
    return field(default=default, metadata={"limits": Limits(**limits)})


_SHA256: dict[str, Any] = {
    "pattern": "([0-9a-f]{64})?",
    "form": "64 lower-case hexadecimal digits, or nothing",
}


def _sha256() -> Any:
    return entry("", **_SHA256)


def limits_of(record: type[Any]) -> dict[str, Limits]:
    """The limits of a section's fields, by name."""
    return {f.name: f.metadata["limits"] for f in fields(record) if "limits" in f.metadata}


class _Checked:
    """Base of a card's sections: checks every value's type and range, also when a section is made in Python.

    Raises:
        ModelError: a value has the wrong type, is not one of the choices, or is out of range.
    """

    def __post_init__(self) -> None:
        try:
            check_fields(self, limits_of(type(self)))
        except InvalidValue as wrong:
            raise ModelError(f"{wrong.name} in a model card is {wrong.value!r}", fix=wrong.fix) from None


@dataclass(frozen=True, kw_only=True)
class Architecture(_Checked):
    """The network that the weights belong to.

    A classifier has `backbone`, `head` and `classes`; a segmenter has `encoder` and `decoder_channels`.

    levels: feature levels of the backbone that the head reads, shallow to deep, numbered as in timm (level i has
        stride 2 ** (i + 1)); empty means the last one.
    """

    backbone: str = ""
    head: str = ""
    levels: tuple[int, ...] = entry((), min=0)
    classes: tuple[str, ...] = ()
    encoder: str = ""
    decoder_channels: tuple[int, ...] = entry((), min=1, max=8192)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.classes)) < len(self.classes) or not all(map(_is_class, self.classes)):
            raise ModelError(
                f"classes in a model card is {list(self.classes)!r}",
                fix=f'name each class once, on one line, and none "{UNSURE}"',
            )


def _is_class(name: str) -> bool:
    return name == name.strip() != "" and name.isprintable() and name != UNSURE


class Magnification(NamedTuple):
    """A magnification, the scale of the views of its images, and its micrometres per pixel."""

    power: float
    scale: float
    mpp: float


def _by_number(table: dict[str, float]) -> dict[float, float]:
    return {float(name): value for name, value in table.items()}


def _check_magnifications(name: str, table: dict[str, float]) -> None:
    """Raises ModelError unless the keys are different positive numbers."""
    try:
        numbers = set(_by_number(table))
    except ValueError:
        numbers = {math.nan}
    if len(numbers) < len(table) or not all(math.isfinite(number) and number > 0 for number in numbers):
        raise ModelError(f"{name} in a model card is {table!r}", fix='name each magnification once, such as "40" = 0.5')


@dataclass(frozen=True, kw_only=True)
class InputPolicy(_Checked):
    """How an image becomes the network's views.

    view: `resize` scales the whole image to one view of `width_px` x `height_px`; `grid` tiles the image, at its own
        scale times `scale`, with views of that size that overlap by at least `overlap` (fraction of a side), and
        averages their logits. An image smaller than a view is enlarged to fill one.
    scales: `grid` only: `scale` by magnification ("40", "100", ...), for images whose magnification or mpp is known
        (`data.scales`); `scale` is for the others. With it, an image smaller than a view is mirrored at its border to
        fill one: enlarging would undo its scale.
    magnification_mpp: micrometres per pixel by magnification, for each one in `scales`.
    max_views: an image that would need more views is shrunk until it needs no more.
    stain_normalization: `scaled` scales each channel's optical density to a common maximum before classification
        (`segmentation.stain_normalization`); `balanced` also removes the tint of the lightest pixels; `none` leaves
        pixels unchanged.
    magnifications: objectives of the training images, for information and for warnings.
    mpp: micrometres per pixel of the training images, before `scale`.
    tile_width_px, tile_height_px: size in pixels of `mpp` of the part of a training image that became one view, if it
        was enlarged or if `view` is `resize`; a slide's tile has this size, and then becomes a view as an image does.
        None: a tile is cut at the resolution of a view.
    mean, std: per channel (RGB), for pixels scaled to 0..1.
    """

    view: View = "resize"
    width_px: int = entry(224, min=1, max=MOST_SIDE_PX)
    height_px: int = entry(224, min=1, max=MOST_SIDE_PX)
    scale: float = entry(1.0, above=0)
    scales: dict[str, float] = field(default_factory=dict, metadata={"limits": Limits(above=0)})
    magnification_mpp: dict[str, float] = field(default_factory=dict, metadata={"limits": Limits(above=0)})
    overlap: float = entry(0.0, min=0, max=1)
    max_views: int = entry(64, min=1)
    stain_normalization: StainNormalization = "none"
    magnifications: tuple[float, ...] = entry((), above=0)
    mpp: float | None = entry(None, above=0)
    tile_width_px: int | None = entry(None, min=1)
    tile_height_px: int | None = entry(None, min=1)
    mean: tuple[float, ...] = entry((0.485, 0.456, 0.406), length=3)
    std: tuple[float, ...] = entry((0.229, 0.224, 0.225), above=0, length=3)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("scales", "magnification_mpp"):
            _check_magnifications(name, getattr(self, name))
        if set(_by_number(self.scales)) != set(_by_number(self.magnification_mpp)):
            raise ModelError(
                f"scales in a model card is {self.scales!r}, but magnification_mpp is {self.magnification_mpp!r}",
                fix="give both for the same magnifications",
            )
        if self.scales and self.view != "grid":
            raise ModelError(
                f"a model card has scales with view {self.view!r}, which fits any image into one view",
                fix='remove scales, or use view "grid"',
            )
        sizes = self.tile_width_px, self.tile_height_px
        if any(sizes) and (not all(sizes) or self.mpp is None or self.scales):
            raise ModelError(
                f"a model card has tile_width_px {sizes[0]} and tile_height_px {sizes[1]} with mpp {self.mpp}",
                fix="give all three and no scales, or remove the tile's size",
            )

    @property
    def tile_px(self) -> tuple[int, int] | None:
        """`tile_width_px` and `tile_height_px`, if the card has them."""
        return (self.tile_width_px, self.tile_height_px) if self.tile_width_px and self.tile_height_px else None

    @property
    def known_magnifications(self) -> tuple[Magnification, ...]:
        """The magnifications in `scales`, ascending."""
        scales, sizes = _by_number(self.scales), _by_number(self.magnification_mpp)
        return tuple(Magnification(power, scales[power], sizes[power]) for power in sorted(scales))


@dataclass(frozen=True, kw_only=True)
class SegmentationPolicy(_Checked):
    """The source of a classifier's mask, and its effect on the pixels.

    segmenter: name in the segmentation registry.
    model, sha256: segmentation model, for a segmenter that needs one, and the checksum of its weights.
    background_weight: pixels become `pixel * (m + (1 - m) * background_weight)` for a mask `m`; 0 blanks the
        background, 1 ignores the mask.
    allowed: segmenters that `--segmenter` may choose instead.
    """

    segmenter: str = "none"
    model: str = ""
    sha256: str = _sha256()
    background_weight: float = entry(1.0, min=0, max=1)
    allowed: tuple[str, ...] = ("none",)


@dataclass(frozen=True, kw_only=True)
class Abstain(_Checked):
    """When the label is `unsure` instead of a class.

    low, high: unsure if the calibrated probability of the positive class is between them, limits included
        (`metrics.abstention`); None, or equal: for no probability.
    flags: unsure if the image or tile has one of these flags, whatever its probability.
    error: the promise: averaged over new cases, at most this fraction of the images of each class get the label of the
        other; None without a band.
    coverage: fraction of the images that got a label when the band was fitted. covered_accuracy: fraction of these
        with the right label, which is not promised. In both, each case has the same weight.
    cases: cases of each class that it was fitted on.
    chosen_on: data on which it was fitted, or why there is no band.
    """

    low: float | None = entry(None, min=0, max=1)
    high: float | None = entry(None, min=0, max=1)
    flags: tuple[str, ...] = ()
    error: float | None = entry(None, above=0, max=1)
    coverage: float | None = entry(None, min=0, max=1)
    covered_accuracy: float | None = entry(None, min=0, max=1)
    cases: dict[str, int] = field(default_factory=dict, metadata={"limits": Limits(min=0)})
    chosen_on: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.low is None) != (self.high is None) or (self.low or 0) > (self.high or 0):
            raise ModelError(
                f"low in a model card is {self.low!r}, but high is {self.high!r}",
                fix="give both, low not above high, or none",
            )


@dataclass(frozen=True, kw_only=True)
class Decision(_Checked):
    """How logits become a label.

    temperature: divides logits before softmax (Guo et al., arXiv:1706.04599).
    threshold: two classes only; the label is `positive` when its probability is at least this.
    chosen_on: data on which both were fitted.
    abstain: when the label is `unsure`; None: never.
    """

    positive: str = ""
    temperature: float = entry(1.0, above=0)
    threshold: float = entry(0.5, min=0, max=1)
    chosen_on: str = ""
    abstain: Abstain | None = None


@dataclass(frozen=True, kw_only=True)
class Domain(_Checked):
    """What the training images looked like to the network; the numbers are in the weights (`classification.domain`).

    rank: axes of the distance; 0 if the model has no such numbers and cannot tell.
    share: fraction of the images of unseen cases that may look unlike the training images although they are like them.
    flagged: the fraction that did, over the held-out images that the limit was chosen on, each case with equal weight.
    cases: their number.
    chosen_on: data on which the limit was chosen.
    """

    rank: int = entry(0, min=0, max=65_536)
    share: float = entry(0.0, min=0, max=1)
    flagged: float = entry(0.0, min=0, max=1)
    cases: int = entry(0, min=0)
    chosen_on: str = ""


@dataclass(frozen=True, kw_only=True)
class Weights(_Checked):
    """The weights file and its checksum.

    int8: by segmenter, the checksum of the quantised network in the model's folder (`inference.int8`).
    """

    sha256: str = _sha256()
    int8: dict[str, str] | None = field(default=None, metadata={"limits": Limits(**_SHA256)})
    size_bytes: int = entry(0, min=0)
    licence: str = ""
    started_from: str = ""


def split_stamp(group_by: str) -> str:
    """The warning across figures of a split that does not keep patients together; "" if it does, or is unknown.

    Args:
        group_by: the unit that the split keeps together.
    """
    return "" if group_by in ("", "patient", "case") else f"split by {group_by}: may leak"


@dataclass(frozen=True, kw_only=True)
class Training(_Checked):
    """The training data.

    labels: origin of the labels of slide tiles; empty where each image has its own.
    group_by: the unit that the split keeps together: `patient`, or `image` or `slide` if no patient is known.
    leaks: why the metrics are invalid, if a leaking split was allowed.
    doubts: sentences about why the model may be of no use, such as figures no better than chance.
    splits: patients by name of the split.
    """

    data: str = ""
    licence: str = ""
    url: str = ""
    citation: str = ""
    command: str = ""
    seed: int = 0
    images: int = entry(0, min=0)
    labels: str = ""
    group_by: str = ""
    leaks: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    splits: dict[str, list[str]] = field(default_factory=dict)

    @property
    def stamp(self) -> str:
        """The warning that every figure on the card carries; "" if its split is sound."""
        return "LEAKING SPLIT" if self.leaks else split_stamp(self.group_by)


@dataclass(frozen=True, kw_only=True)
class Use(_Checked):
    """Intended use, and uses that are ruled out.

    suits: the files that the model is for, `images` (photos) or `slides`; empty if the card does not say.
    """

    suits: Literal["", "images", "slides"] = ""
    intended: str = ""
    not_for: str = ""


@dataclass(frozen=True, kw_only=True)
class Card(_Checked):
    """A model's card; `metrics` is free-form: each metric with split, number of patients and interval."""

    name: str
    task: Task
    summary: str = ""
    paper: str = ""
    schema: int = CARD_SCHEMA
    architecture: Architecture = Architecture()
    input: InputPolicy = InputPolicy()
    segmentation: SegmentationPolicy = SegmentationPolicy()
    decision: Decision = Decision()
    domain: Domain = Domain()
    weights: Weights = Weights()
    training: Training = Training()
    metrics: dict[str, Any] = field(default_factory=dict)
    use: Use = Use()

    def __post_init__(self) -> None:
        super().__post_init__()
        classes, positive = self.architecture.classes, self.decision.positive
        if classes and positive and positive not in classes:
            raise ModelError(
                f"positive in a model card is {positive!r}", fix=f"choose one of its classes: {', '.join(classes)}"
            )
