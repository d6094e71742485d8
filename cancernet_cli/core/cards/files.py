"""Read and write model cards, and check the weights next to them."""

from __future__ import annotations

import tomllib
import typing
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from cancernet_cli.core.cards.sections import CARD_SCHEMA, Card, limits_of
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.files import file_sha256
from cancernet_cli.core.registry import SEGMENTERS, is_entry
from cancernet_cli.core.text import words_of
from cancernet_cli.core.validation import NO_LIMITS, InvalidValue, checked_value, field_types

CARD_FILE = "card.toml"
WEIGHTS_FILE = "model.safetensors"
MOST_BYTES = 50_000_000

_SHOWN = 100  # characters of a wrong value

# Keys and values of version 0.1: "section.old_key" to the new key in the same section, and old values under the new
# name. Read with a warning for one release.
RENAMED = {"input.density": "stain_normalization", "segmentation.keep": "background_weight"}
RENAMED_VALUES = {("input.stain_normalization", "as_is"): "none"}


class RenamedKey(FutureWarning):
    """A card has a key under its old name."""


def read_card(folder: Path) -> Card:
    """Read the card in a model's folder.

    Raises:
        ModelError: there is none, it is not TOML, a key is unknown or missing, or a value has the wrong type or is out
            of range.
    """
    path = folder / CARD_FILE
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise ValueError("it is not a regular file")
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES / 1e6:.0f} MB")
        table = tomllib.loads(path.read_text("utf-8-sig"))  # some editors begin files with a byte order mark
    except FileNotFoundError:
        raise ModelError(f"{folder} has no {CARD_FILE}", fix="name a folder made by `cancernet finetune`") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {words_of(error)}", fix="restore the card from its source") from None
    if type(table.get("schema")) is not int or table.get("schema") != CARD_SCHEMA:
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


def load_weights(network: Any, folder: Path, card: Card, load: Callable[[Path], Mapping[str, Any]]) -> None:
    """Fill a PyTorch module with the weights in a model's folder, after all of them have been checked.

    A checksum only says that the file is the one that the card was written with, not that its content is sound.

    Args:
        load: reads a safetensors file (`safetensors.torch.load_file`).

    Raises:
        ModelError: they are missing, changed or damaged, do not fit the network, or are not finite.
    """
    path = checked_weights(folder, card)
    fix = "restore the card and weights of one training run"
    try:
        state = load(path)
    except Exception as error:  # the library has no common base class for what may be wrong with a file
        raise ModelError(f"{path} cannot be read as weights: {words_of(error)}", fix=fix) from None
    wanted = network.state_dict()
    for name in sorted(state.keys() & wanted.keys()):
        value, like = state[name], wanted[name]
        if value.is_floating_point() != like.is_floating_point():
            raise ModelError(f"{name} in {path} has type {value.dtype}, not {like.dtype}", fix=fix)
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise ModelError(f"{name} in {path} has values that are not finite numbers", fix=fix)
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, ValueError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise ModelError(
            f"the weights in {folder} do not fit its card: {lines[min(1, len(lines) - 1)].strip()}", fix=fix
        ) from None


R = TypeVar("R")


def _build(record: type[R], table: dict[str, Any], path: Path, where: str) -> R:
    """A card or one of its sections from a TOML table; `where` is the section's key with a dot, for messages."""
    types, limits = field_types(record), limits_of(record)
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
            raise ModelError(f"{path}: {where}{key} is {_short(value)}", fix=wrong.fix) from None
    try:
        return record(**values)
    except ModelError as wrong_together:
        raise ModelError(f"{path}: {wrong_together.message}", fix=wrong_together.fix) from None
    except TypeError as error:
        raise ModelError(f"{path} is incomplete: {error}", fix="add the missing keys") from None


def _short(value: object) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


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
