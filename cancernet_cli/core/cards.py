"""Model cards: the metadata that travels with a model's weights, read from and written to `card.toml`.

A model is a folder with `card.toml` and `model.safetensors`. The card is the only source of input size, mean and
standard deviation, classes, temperature, decision threshold and checksum.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
import typing
import warnings
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import tomli_w

from cancernet_cli.core.choices import StainNormalization, View
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.registry import SEGMENTERS, is_entry
from cancernet_cli.core.validation import NO_LIMITS, InvalidValue, Limits, check_fields, checked_value, field_types

CARD_SCHEMA = 1
CARD_FILE = "card.toml"
WEIGHTS_FILE = "model.safetensors"

Task = Literal["classify", "segment"]

# Keys and values of version 0.1: "section.old_key" to the new key in the same section, and old values under the new
# name. Read with a warning for one release.
RENAMED = {"input.density": "stain_normalization", "segmentation.keep": "background_weight"}
RENAMED_VALUES = {("input.stain_normalization", "as_is"): "none"}


class RenamedKey(FutureWarning):
    """A card has a key under its old name."""


def entry(default: Any, **limits: Any) -> Any:
    """A card's field with limits on its value, given as arguments of `validation.Limits`."""
    return field(default=default, metadata={"limits": Limits(**limits)})


def _sha256() -> Any:
    return entry("", pattern="([0-9a-f]{64})?", form="64 lower-case hexadecimal digits, or nothing")


def _limits(record: type[Any]) -> dict[str, Limits]:
    return {f.name: f.metadata["limits"] for f in fields(record) if "limits" in f.metadata}


class _Checked:
    """Base of a card's sections: checks every value's type and range, also when a section is made in Python.

    Raises:
        ModelError: a value has the wrong type, is not one of the choices, or is out of range.
    """

    def __post_init__(self) -> None:
        try:
            check_fields(self, _limits(type(self)))
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
    decoder_channels: tuple[int, ...] = entry((), min=1)


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
    mean, std: per channel (RGB), for pixels scaled to 0..1.
    """

    view: View = "resize"
    width_px: int = entry(224, min=1)
    height_px: int = entry(224, min=1)
    scale: float = entry(1.0, above=0)
    scales: dict[str, float] = field(default_factory=dict, metadata={"limits": Limits(above=0)})
    magnification_mpp: dict[str, float] = field(default_factory=dict, metadata={"limits": Limits(above=0)})
    overlap: float = entry(0.0, min=0, max=1)
    max_views: int = entry(64, min=1)
    stain_normalization: StainNormalization = "none"
    magnifications: tuple[float, ...] = entry((), above=0)
    mpp: float | None = entry(None, above=0)
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
    cases: dict[str, int] = field(default_factory=dict)
    chosen_on: str = ""


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

    rank: int = entry(0, min=0)
    share: float = entry(0.0, min=0, max=1)
    flagged: float = entry(0.0, min=0, max=1)
    cases: int = entry(0, min=0)
    chosen_on: str = ""


@dataclass(frozen=True, kw_only=True)
class Weights(_Checked):
    """The weights file and its checksum."""

    sha256: str = _sha256()
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
    """Intended use, and uses that are ruled out."""

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


def read_card(folder: Path) -> Card:
    """Read the card in a model's folder.

    Raises:
        ModelError: there is none, it is not TOML, a key is unknown or missing, or a value has the wrong type or is out
            of range.
    """
    path = folder / CARD_FILE
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} has no {CARD_FILE}", fix="name a folder made by `cancernet finetune`") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}", fix="restore the card from its source") from None
    if table.get("schema") != CARD_SCHEMA:
        raise ModelError(
            f"{path} has schema {table.get('schema')!r}, this version reads {CARD_SCHEMA}",
            fix="upgrade cancernet, or train the model again",
        )
    return _build(Card, table, path, "")


def with_segmenter(card: Card, segmenter: str | None) -> Card:
    """The card with another of its allowed segmenters; None keeps its own.

    Raises:
        ModelError: the card does not allow this segmenter.
    """
    if segmenter in (None, card.segmentation.segmenter):
        return card
    if segmenter not in card.segmentation.allowed:
        if not is_entry(SEGMENTERS, segmenter):
            raise ModelError(
                f"unknown segmenter {segmenter!r}", fix=f"choose one of: {', '.join(card.segmentation.allowed)}"
            )
        raise ModelError(
            f"{card.name} has not been evaluated with segmenter {segmenter!r}",
            fix=f"choose one of: {', '.join(card.segmentation.allowed)}; or train a model with it",
        )
    return replace(card, segmentation=replace(card.segmentation, segmenter=segmenter))


def without_abstaining(card: Card) -> Card:
    """The card with a class as the label of every image."""
    return replace(card, decision=replace(card.decision, abstain=None))


def write_card(card: Card, folder: Path) -> Path:
    """Write `card.toml`; equal cards give equal bytes."""
    path = folder / CARD_FILE
    path.write_text(card_text(card), "utf-8")
    return path


def card_text(card: Card) -> str:
    """The card as TOML; equal cards give equal text."""
    return tomli_w.dumps(_plain(asdict(card)), multiline_strings=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked_weights(folder: Path, card: Card) -> Path:
    """The weights file in a model's folder, after comparing its checksum with the card's.

    Raises:
        ModelError: there is no weights file, or its checksum differs from the card's.
    """
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise ModelError(f"{folder} has a card but no {WEIGHTS_FILE}", fix="copy the weights into the folder")
    found = file_sha256(path)
    if found != card.weights.sha256:
        recorded = f"{card.weights.sha256[:12]}..." if card.weights.sha256 else "none"
        raise ModelError(
            f"{path} has SHA-256 {found[:12]}..., its card has {recorded}",
            fix="restore the weights or the card; they must come from the same training run",
        )
    return path


R = TypeVar("R")


def _build(record: type[R], table: dict[str, Any], path: Path, where: str) -> R:
    """A card or one of its sections from a TOML table; `where` is the section's key with a dot, for messages."""
    types, limits = field_types(record), _limits(record)
    values: dict[str, Any] = {}
    for key, value in _with_new_names(table, path, where).items():
        if key not in types:
            raise ModelError(f"{path} has an unknown key {where}{key}", fix="remove it, or correct its spelling")
        section = _section(types[key])
        if section is not None and isinstance(value, dict):
            values[key] = _build(section, value, path, f"{where}{key}.")
            continue
        try:
            values[key] = checked_value(key, value, types[key], limits.get(key, NO_LIMITS))
        except InvalidValue as wrong:
            raise ModelError(f"{path}: {where}{key} is {value!r}", fix=wrong.fix) from None
    try:
        return record(**values)
    except TypeError as error:
        raise ModelError(f"{path} is incomplete: {error}", fix="add the missing keys") from None


def _section(hint: Any) -> type[Any] | None:
    """The record that a table under a key becomes; of an optional section (`Section | None`), too."""
    types: tuple[type[Any], ...] = (hint, *typing.get_args(hint))
    return next(filter(is_dataclass, types), None)


def _with_new_names(table: dict[str, Any], path: Path, where: str) -> dict[str, Any]:
    """The table with keys of earlier releases under their new names."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        new = RENAMED.get(f"{where}{key}", key)
        if new != key:
            if new in table:
                raise ModelError(f"{path} has both {where}{key} and {where}{new}", fix=f"remove {where}{key}")
            warnings.warn(f"{path}: {where}{key} is now called {where}{new}; rename it", RenamedKey, stacklevel=2)
            value = RENAMED_VALUES.get((f"{where}{new}", str(value)), value)
        found[new] = value
    return found


def _plain(value: Any) -> Any:
    """Tuples as lists, and without None, which TOML does not have."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
