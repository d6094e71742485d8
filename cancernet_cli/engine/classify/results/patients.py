"""One row per patient and per physical slide, pooled from the rows of a predictions table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.cards import Card
from cancernet_cli.core.choices import UNSURE
from cancernet_cli.engine.classify.flags import join_flags, split_flags
from cancernet_cli.engine.classify.predictions import decide
from cancernet_cli.outputs.tables.patient_table import patient_schema, write_patient_table

_AT_ONCE = 65_536
_COLUMNS = ("kind", "status", "label", "flags", "patient", "slide", "true_label", "seen_in_training")
_UNITS = ("patient", "slide")

# unit, patient, slide, kind; "" for unknown, which comes first
_Key = tuple[str, str, str, str]


@dataclass
class _Group:
    """The files of a patient or slide. probs: `[K]`, sums over the files with a prediction. flags: of these files."""

    probs: F64
    ok: int = 0
    failed: int = 0
    partial: int = 0
    unsure: int = 0
    flags: Counter[str] = field(default_factory=Counter)
    labels: set[str] = field(default_factory=set)
    seen: set[bool] = field(default_factory=set)


def write_patients(table: Path, card: Card, metadata: Mapping[str, str], to: Path) -> bool:
    """Write the patients and slides of a predictions table; nothing if none is known.

    A patient's probabilities are the means over the files with a prediction, and so are a slide's, as in `cancernet
    evaluate`. They are decided on like those of a file: by the card's threshold, and as `unsure` in its band or with a
    flag that it names, if most files have that flag. Images and whole slides are never pooled together.

    Returns:
        Whether there are any.

    Raises:
        OSError: it cannot be written.
    """
    groups = _grouped(table, card.architecture.classes)
    if groups:
        rows = (_row(key, groups[key], card) for key in sorted(groups, key=_order))
        write_patient_table(rows, patient_schema(card.architecture.classes, metadata), to)
    return bool(groups)


def _order(key: _Key) -> tuple[object, ...]:
    unit, *names, kind = key
    return (_UNITS.index(unit), *(name.encode() for name in names), kind)


def _row(key: _Key, group: _Group, card: Card) -> dict[str, Any]:
    unit, patient, slide, kind = key
    row: dict[str, Any] = {
        "unit": unit,
        "patient": patient or None,
        "slide": slide or None,
        "kind": kind,
        "status": "failed" if not group.ok else "partial" if group.failed or group.partial else "ok",
        "flags": join_flags(sorted(group.flags)),
        "decision_threshold": card.decision.threshold if card.decision.positive else None,
        "true_label": next(iter(group.labels)) if len(group.labels) == 1 else None,
        "seen_in_training": any(group.seen) if group.seen else None,
        "files": group.ok + group.failed,
        "ok": group.ok,
        "failed": group.failed,
        "unsure": group.unsure,
        "model": card.name,
    }
    if group.ok:
        probs = (group.probs / group.ok).astype(np.float32)
        of_most = [name for name, count in group.flags.items() if count * 2 > group.ok]
        row["label"] = decide(probs, card, of_most)
        row |= {f"prob_{name}": float(probs[k]) for k, name in enumerate(card.architecture.classes)}
    return row


def _grouped(table: Path, classes: Sequence[str]) -> dict[_Key, _Group]:
    """Sums over the rows of each patient and slide, read some rows at a time."""
    groups: dict[_Key, _Group] = {}
    columns = [*_COLUMNS, *(f"prob_{name}" for name in classes)]
    with pq.ParquetFile(table) as file:
        for batch in file.iter_batches(_AT_ONCE, columns=columns):
            rows = _Rows(batch, classes)
            for unit in _UNITS:
                for key, part in rows.groups(unit):
                    _add(groups.setdefault(key, _Group(np.zeros(len(classes)))), part)
    return groups


def _add(group: _Group, part: _Group) -> None:
    group.probs = group.probs + part.probs
    for name in ("ok", "failed", "partial", "unsure"):
        setattr(group, name, getattr(group, name) + getattr(part, name))
    group.flags.update(part.flags)
    group.labels |= part.labels
    group.seen |= part.seen


class _Rows:
    """Some rows as numbers: each text column as places in a list of its words, -1 for null."""

    def __init__(self, batch: pa.RecordBatch, classes: Sequence[str]) -> None:
        self.words: dict[str, list[str]] = {}
        self.at: dict[str, I64] = {}
        for name in _COLUMNS[:-1]:
            coded = batch[name].cast(pa.string()).dictionary_encode()
            self.words[name] = coded.dictionary.to_pylist()
            self.at[name] = np.asarray(coded.indices.fill_null(-1), dtype=np.int64)
        self.seen = np.asarray(pc.fill_null(batch["seen_in_training"].cast(pa.int8()), -1), dtype=np.int64)
        probs = [batch[f"prob_{name}"].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in classes]
        self.ok = ~np.isnan(probs[0]) & ~self._is("status", "failed")
        self.probs = [np.where(self.ok, column, 0.0) for column in probs]

    def groups(self, unit: str) -> Iterator[tuple[_Key, _Group]]:
        """The rows of each patient or slide that is known: slides of two patients are two slides."""
        names = ("kind", "patient") if unit == "patient" else ("kind", "patient", "slide")
        known = np.flatnonzero(self.at[unit] >= 0)
        if not len(known):
            return
        codes = np.zeros(len(known), np.int64)
        for name in names:
            codes = codes * (len(self.words[name]) + 1) + self.at[name][known] + 1
        _, first, at = np.unique(codes, return_index=True, return_inverse=True)
        at = at.reshape(-1)
        totals = self._totals(known, at, len(first))
        for number, row in enumerate(known[first].tolist()):
            of = {name: self._word(name, row) for name in names}
            yield (unit, of["patient"], of.get("slide", ""), of["kind"]), totals[number]

    def _totals(self, rows: I64, at: I64, count: int) -> list[_Group]:
        """What the groups' rows add up to; `at` gives the group of each row."""
        ok, failed = self.ok[rows], ~self.ok[rows]
        sums = np.column_stack([np.bincount(at, column[rows], count) for column in self.probs])
        counts = [
            np.bincount(at, which, count).astype(np.int64).tolist()
            for which in (ok, failed, ok & self._is("status", "partial")[rows], ok & self._is("label", UNSURE)[rows])
        ]
        groups = [_Group(sums[g], *numbers) for g, numbers in enumerate(zip(*counts, strict=True))]
        for g, word, times in self._pairs(at[ok], self.at["flags"][rows][ok]):
            groups[g].flags.update(dict.fromkeys(split_flags(self.words["flags"][word]), times))
        for g, word, _ in self._pairs(at, self.at["true_label"][rows]):
            groups[g].labels.add(self.words["true_label"][word])
        for g, seen, _ in self._pairs(at, self.seen[rows]):
            groups[g].seen.add(bool(seen))
        return groups

    @staticmethod
    def _pairs(at: I64, values: I64) -> Iterator[tuple[int, int, int]]:
        """Each group with each of its values that are not null, and how often."""
        known = values >= 0
        if known.any():
            width = int(values.max()) + 1
            pairs, times = np.unique(at[known] * width + values[known], return_counts=True)
            yield from zip((pairs // width).tolist(), (pairs % width).tolist(), times.tolist(), strict=True)

    def _is(self, name: str, word: str) -> np.ndarray:
        words = self.words[name]
        return np.asarray(self.at[name] == (words.index(word) if word in words else -2))

    def _word(self, name: str, row: int) -> str:
        place = int(self.at[name][row])
        return self.words[name][place] if place >= 0 else ""
