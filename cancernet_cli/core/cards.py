"""Model cards: what must travel with weights, read from and written to `card.toml`.

A model is a folder with `card.toml` and `model.safetensors`. The card is the only place where input size, mean and
standard deviation, classes, temperature, decision threshold and checksum stand.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

import tomli_w

from cancernet_cli.core.choices import Density, View
from cancernet_cli.core.errors import ModelError

CARD_SCHEMA = 1
CARD_FILE = "card.toml"
WEIGHTS_FILE = "model.safetensors"

Task = Literal["classify", "segment"]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Which network the weights belong to.

    A classifier has `backbone`, `head` and `classes`; a segmenter has `encoder` and `decoder_channels`.
    `levels` are the backbone's feature levels that the head reads, shallow to deep, counted as timm does
    (level i has stride 2 ** (i + 1)); empty means the last one.
    """

    backbone: str = ""
    head: str = ""
    levels: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    encoder: str = ""
    decoder_channels: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InputPolicy:
    """How a file becomes the network's views.

    view: `resize` squeezes the image into one view of `width_px` x `height_px`; `grid` covers the image, at its own
        scale times `scale`, with views of that size that overlap by at least `overlap` (share of a side) and pools
        their logits (mean). An image smaller than a view is enlarged until it fills one.
    max_views: an image that needs more views is shrunk until it needs no more.
    density: `scaled` brings each channel's optical density to one darkest value before the classifier sees a view
        (`segmentation.density`), as if all were stained and lit alike; `balanced` takes out the tint of the lightest
        pixels too; `as_is` takes pixels as they are.
    magnifications: the objectives of the training images, for the reader and for warnings.
    mean, std: per channel, on pixels scaled to 0..1.
    """

    view: View = "resize"
    width_px: int = 224
    height_px: int = 224
    scale: float = 1.0
    overlap: float = 0.0
    max_views: int = 64
    density: Density = "as_is"
    magnifications: tuple[float, ...] = ()
    mpp: float | None = None
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class SegmentationPolicy:
    """Where a classifier's mask comes from and what it does to the pixels.

    segmenter: a name in the segmentation registry. model, sha256: the segmentation model (a `unet` needs one) and
        the checksum of its weights. keep: `pixel * (m + (1 - m) * keep)`; 0 blanks what lies outside, 1 ignores the
        mask.
    allowed: the segmenters that `--segmenter` may choose instead.
    """

    segmenter: str = "none"
    model: str = ""
    sha256: str = ""
    keep: float = 1.0
    allowed: tuple[str, ...] = ("none",)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """From logits to a label.

    temperature: logits are divided by it before softmax (Guo et al., arXiv:1706.04599). threshold: two classes only;
        the label is `positive` when its probability is at least this. chosen_on: the data both were fitted on.
    """

    positive: str = ""
    temperature: float = 1.0
    threshold: float = 0.5
    chosen_on: str = ""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights file and its checksum."""

    sha256: str = ""
    size_bytes: int = 0
    licence: str = ""
    started_from: str = ""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What the weights learned from.

    labels: how tiles of slides came by theirs; empty where each image has its own. splits: a split's name to its
    patients. leaks: why the figures are worthless, when a leaking split was allowed.
    """

    data: str = ""
    licence: str = ""
    url: str = ""
    citation: str = ""
    command: str = ""
    seed: int = 0
    images: int = 0
    labels: str = ""
    group_by: str = ""
    leaks: tuple[str, ...] = ()
    splits: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Use:
    """What the model is for, and what it must not be used for."""

    intended: str = ""
    not_for: str = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """One model's card; `metrics` is free-form: each figure with split, count of patients and interval."""

    name: str
    task: Task
    summary: str = ""
    paper: str = ""
    schema: int = CARD_SCHEMA
    architecture: Architecture = Architecture()
    input: InputPolicy = InputPolicy()
    segmentation: SegmentationPolicy = SegmentationPolicy()
    decision: Decision = Decision()
    weights: Weights = Weights()
    training: Training = Training()
    metrics: dict[str, Any] = field(default_factory=dict)
    use: Use = Use()


def read_card(folder: Path) -> Card:
    """The card in a model's folder.

    Raises:
        ModelError: there is none, it is not TOML, or a field is unknown, missing or of the wrong type.
    """
    path = folder / CARD_FILE
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no {CARD_FILE}", fix="name a folder made by `cancernet finetune`") from None
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}", fix="restore the card from where the model came from"
        ) from None
    if table.get("schema") != CARD_SCHEMA:
        raise ModelError(
            f"{path} has schema {table.get('schema')!r}, this version reads {CARD_SCHEMA}",
            fix="upgrade cancernet, or train the model again",
        )
    return _build(Card, table, path, "")


def write_card(card: Card, folder: Path) -> Path:
    """Write `card.toml`, the same bytes for the same card."""
    path = folder / CARD_FILE
    path.write_text(card_text(card), "utf-8")
    return path


def card_text(card: Card) -> str:
    """The card as TOML, the same text for the same card."""
    return tomli_w.dumps(_plain(asdict(card)), multiline_strings=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked_weights(folder: Path, card: Card) -> Path:
    """The weights of a model's folder, once their checksum has been compared with the card's.

    Raises:
        ModelError: there are none, or they are not the ones that the card describes.
    """
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise ModelError(f"{folder} has a card but no {WEIGHTS_FILE}", fix="copy the weights beside the card")
    found = file_sha256(path)
    if found != card.weights.sha256:
        raise ModelError(
            f"{path} has SHA-256 {found[:12]}..., its card says {card.weights.sha256[:12] or 'nothing'}...",
            fix="restore the weights or the card; they must come from the same training run",
        )
    return path


R = TypeVar("R")


def _build(record: type[R], table: dict[str, Any], path: Path, where: str) -> R:
    """A record from a TOML table; lists become tuples where the record says so."""
    hints = get_type_hints(record)
    known = {f.name for f in fields(record)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise ModelError(f"{path} has an unknown entry {where}{key}", fix="remove it, or correct its spelling")
        hint = hints[key]
        if is_dataclass(hint):
            value = _build(hint, value, path, f"{where}{key}.")  # type: ignore[arg-type]
        elif getattr(hint, "__origin__", None) is tuple and isinstance(value, list):
            value = tuple(value)
        elif hint is float and isinstance(value, int):
            value = float(value)
        if hint in (str, int, float) and type(value) is not hint:
            raise ModelError(f"{path}: {where}{key} is {value!r}, not a {hint.__name__}", fix="correct the card")
        values[key] = value
    try:
        return record(**values)
    except TypeError as error:
        raise ModelError(f"{path} is incomplete: {error}", fix="add what is missing") from None


def _plain(value: Any) -> Any:
    """Tuples as lists and without None, which TOML does not have."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
