"""The origin of a predictions table: its metadata, and the card of the model that wrote it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from cancernet_cli.core.cards import CARD_FILE, Card, card_text, file_sha256, read_card
from cancernet_cli.core.errors import InputError, ModelError
from cancernet_cli.core.models import find_model
from cancernet_cli.engine.evaluate.summary import in_order
from cancernet_cli.engine.evaluate.training_images import seen_patients
from cancernet_cli.outputs.tables.predictions import read_metadata
from cancernet_cli.outputs.tables.reading import is_csv, open_table

# How `finetune` marks predictions of patients that the model was not trained on.
NOT_TRAINED_ON = ("out-of-fold", "held-out")
_PROB = "prob_"


@dataclass(frozen=True)
class Source:
    """A predictions table and where it comes from.

    classes: of two, the positive one last. positive: of two classes; "" for more. threshold_of: the class that its
    threshold decides on; `positive` unless another one was asked for. base: the folder that its paths are relative to,
    as far as known. leaks: why its figures are not estimates. split_by: the unit that its split keeps together; "" if
    it is not from a split. seen: patients that the model was trained on. remarks: what could not be determined.
    """

    table: Path
    classes: tuple[str, ...]
    positive: str
    model: str
    base: Path
    split: str = ""
    split_by: str = ""
    leaks: tuple[str, ...] = ()
    seen: frozenset[str] = frozenset()
    seen_note: str = ""
    threshold_of: str = ""
    remarks: tuple[str, ...] = ()
    card: Card | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


def read_source(table: Path, positive: str | None = None, *, decided: bool = False) -> Source:
    """The origin of a table, without reading its rows.

    Args:
        positive, decided: the positive class, and whether a threshold is given. With both, a table may have lost its
            metadata, as when another program has written it again.

    Raises:
        InputError: there is no such file, or it is not a predictions table.
    """
    fix = "name a Parquet or CSV table that `cancernet classify` or `cancernet finetune` wrote"
    if not table.is_file():
        raise InputError(f"file not found: {table}", fix=fix)
    columns = _columns(table, fix)
    classes = [name.removeprefix(_PROB) for name in dict.fromkeys(columns) if name.startswith(_PROB)]
    record = _run_record(table)
    metadata = _metadata(table, record)
    if metadata is None and not (positive and decided and len(classes) == 2):
        lost = f"if another program wrote it again, pass --positive ({' or '.join(classes)}) and --threshold"
        raise InputError(
            f"{table} is not a predictions table: it has no CancerNet metadata", fix=lost if len(classes) == 2 else fix
        )
    if len(classes) < 2:
        raise InputError(
            f"{table} has {len(classes)} columns {_PROB}<class>; a classifier's table has two or more", fix=fix
        )
    if metadata is None:
        return _without_metadata(table, classes, positive or "")
    card = _card(metadata, record)
    split, positive = metadata.get("split", ""), _positive(metadata, card, classes)
    remarks: list[str] = []
    seen: set[str] = set()
    if split not in NOT_TRAINED_ON:
        if card is None:
            remarks.append(
                f"the model {metadata.get('model', 'unnamed')!r} that wrote {table.name} was not found, so "
                "whether it was trained on some of these patients is unknown"
            )
        else:
            seen = seen_patients(card)
    return Source(
        table=table,
        classes=tuple(in_order(classes, positive)),
        positive=positive,
        model=metadata.get("model", ""),
        base=Path(record["folder"]) if isinstance(record.get("folder"), str) else table.resolve().parent,
        split=split,
        split_by=metadata.get("split_by", ""),
        leaks=_leaks(metadata),
        seen=frozenset(seen),
        seen_note=card.training.data if card else "",
        threshold_of=positive,
        remarks=tuple(remarks),
        card=card,
        record=record,
    )


def _columns(table: Path, fix: str) -> list[str]:
    """The names of a table's columns.

    Raises:
        InputError: it cannot be read, or is a table of patients.
    """
    try:
        with open_table(table) as file:
            columns: list[str] = file.schema.names
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{table} cannot be read as a table: {' '.join(str(error).split())}", fix=fix) from None
    if "unit" in columns:
        raise InputError(
            f"{table} is a table of patients",
            fix="evaluate the predictions table that it was made from: the report has figures by patient and by slide",
        )
    return columns


def _without_metadata(table: Path, classes: list[str], positive: str) -> Source:
    """The origin of a table of which nothing but the rows is known."""
    return Source(
        table=table,
        classes=tuple(in_order(classes, positive)),
        positive=positive,
        model="",
        base=table.resolve().parent,
        threshold_of=positive,
        remarks=(
            f"{table.name} has lost its CancerNet metadata, so whether its split leaks, and whether the model was "
            "trained on some of these patients, is unknown",
        ),
    )


def _metadata(table: Path, record: dict[str, Any]) -> dict[str, str] | None:
    """What determined the table's result: from its metadata, or of a CSV table from the record of its run."""
    if not is_csv(table):
        return read_metadata(table)
    found = record.get("result")
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) and found else None


def _run_record(table: Path) -> dict[str, Any]:
    """The run record next to the table; empty if there is none."""
    path = table.with_name(f"{table.stem}.run.json")
    try:
        found = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _card(metadata: dict[str, str], record: dict[str, Any]) -> Card | None:
    """The card of the model that wrote the table: the same bytes, not merely the same name."""
    options = record.get("options")
    asked = options.get("model") if isinstance(options, dict) else None
    for name in (asked, metadata.get("model")):
        try:
            folder = find_model(name) if isinstance(name, str) and name else None
            if folder and metadata.get("model_card_sha256") in _checksums(folder):
                return read_card(folder)
        except (ModelError, OSError):
            continue
    return None


def _checksums(folder: Path) -> set[str]:
    """Of a model's card, as it is and as it was before `cancernet models quantise` added a network's checksum."""
    card, found = read_card(folder), {file_sha256(folder / CARD_FILE)}
    if card.weights.int8 is not None:
        before = card_text(replace(card, weights=replace(card.weights, int8=None)))
        found.add(hashlib.sha256(before.encode()).hexdigest())
    return found


def _positive(metadata: dict[str, str], card: Card | None, classes: list[str]) -> str:
    """The positive one of two classes: by the table, or its model's card, or else the last alphabetically."""
    if len(classes) != 2:
        return ""
    named = (metadata.get("positive"), card.decision.positive if card else None)
    return next((name for name in named if name in classes), None) or max(classes)


def _leaks(metadata: dict[str, str]) -> tuple[str, ...]:
    """The sentences under `leaks`; text that is not a JSON list counts as one sentence."""
    text = metadata.get("leaks", "")
    try:
        found = json.loads(text) if text else []
    except ValueError:
        found = [text]
    return tuple(str(sentence) for sentence in (found if isinstance(found, list) else [found]) if sentence)
