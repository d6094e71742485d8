"""How folders of labeled images are arranged: which folder names are classes, and which are patients."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from cancernet_cli.core.files import display_path
from cancernet_cli.data.discovery.names.breakhis import SUBTYPES
from cancernet_cli.data.discovery.names.facts import facts_of_name
from cancernet_cli.data.discovery.tables import is_missing

_SPLIT = re.compile(
    r"(?:(train(?:ing)?)|(val(?:id(?:ation)?)?|dev)|(test(?:ing)?))(?:[ _-]?(?:set|data|split|images))?", re.IGNORECASE
)
# Folders that say something else than who the patient is; a patient's images may be spread over several of them.
_NO_PATIENT = re.compile(
    rf"{_SPLIT.pattern}|fold[ _-]?\d*|\d+ ?x|x ?\d+"
    rf"|benign|malignant|{'|'.join(SUBTYPES.values())}",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?:class[ _-]?)?(\d+)", re.IGNORECASE)
_SHOWN = 8

Level = tuple[str, int]  # "above" or "below" the class folder, and its place from the top, counted from 0


@dataclass(frozen=True)
class Layout:
    """The arrangement of all folders with images.

    base: the folder that the rest is relative to. classes: class by folder name in lower case. numbered: these names
    are numbers, in the order of the classes. patients: the level of folders that are named after patients, or None,
    with two of them in `examples`. ambiguity: why that level cannot be told, or "". others: names of folders that hold
    images but are below no class folder, the first few.
    """

    base: bytes
    classes: dict[str, str]
    numbered: bool = False
    patients: Level | None = None
    examples: tuple[str, ...] = ()
    ambiguity: str = ""
    others: tuple[str, ...] = ()

    @property
    def numbers_read(self) -> str:
        """How numbered folders are read, in words; "" if the folders have names."""
        read = " and ".join(f"{folder} as {name}" for folder, name in sorted(self.classes.items()))
        return f"folders are numbered: {read}" if self.numbered else ""

    @property
    def patients_read(self) -> str:
        """Which folders are read as patients, in words; "" if none are."""
        if self.patients is None:
            return ""
        return f"each folder {_where(self.patients)} counts as a patient: {_several(self.examples)}"

    def class_of(self, folder: bytes) -> str | None:
        """The class of the nearest enclosing folder that is named after one, up to the base folder."""
        names = folder_names(folder, self.base)
        at = _nearest(names, self.classes)
        return None if at is None else self.classes[names[at].casefold()]

    def patient_of(self, folder: bytes) -> str | None:
        """The patient after whom a folder, or one that encloses it, is named."""
        if self.patients is None:
            return None
        names = folder_names(folder, self.base)
        at = _nearest(names, self.classes)
        patient = None if at is None else dict(_levels(names, at)).get(self.patients)
        return None if patient is None or is_missing(patient) else patient


def folder_names(folder: bytes, base: bytes) -> list[str]:
    """The names of a folder and those that enclose it, outermost first, down from the base folder's own.

    For a folder outside the base folder, those that do not enclose the base folder as well.
    """
    common = os.path.commonpath([folder, base])
    inner = _split(folder[len(common) :])
    if common == base or not inner:
        inner = [os.path.basename(common), *inner]
    return [display_path(name) for name in inner]


def split_named(folder: str) -> str | None:
    """`train`, `val` or `test` if a folder has such a name, as in `Training` or `test_set`."""
    match = _SPLIT.fullmatch(folder)
    return ("train", "val", "test")[int(match.lastindex or 1) - 1] if match else None


def survey(locations: Iterable[bytes], base: Path, classes: Sequence[str]) -> Layout:
    """The layout of the folders of these files; memory use does not depend on their number.

    A patient's folder is one of several at one level above or below the folders of a class: `P1/benign` or `benign/P1`.
    Names that a class's folders all share
    at that level, and those of splits, folds, magnifications and BreakHis subtypes, are no patients'. Files whose own
    names state the patient are ignored. If no folder is named after a class, but all images are in folders
    named 0, 1, ... up to the number of classes, these are the classes in their order.
    """
    root = os.fsencode(base)
    named = _Levels({name.casefold(): name for name in classes})
    numbered = _Levels({}, numbers=classes)

    @lru_cache(maxsize=4096)  # one folder's files come one after another
    def note(folder: bytes, needs_patient: bool) -> None:
        names = folder_names(folder, root)
        named.note(names, needs_patient)
        numbered.note(names, needs_patient)

    for location in locations:
        folder, name = os.path.split(location)
        note(folder, facts_of_name(os.fsdecode(name)).truth.patient is None)
    is_numbered = not named.found and numbered.all_inside and len(set(numbered.classes.values())) == len(classes)
    chosen = numbered if is_numbered else named
    patients, examples, ambiguity = chosen.patients()
    return Layout(root, chosen.classes, is_numbered, patients, examples, ambiguity, tuple(named.others))


@dataclass
class _Levels:
    """What is seen of the levels above and below the class folders, with at most two names for each."""

    classes: dict[str, str]
    numbers: Sequence[str] = ()
    found: bool = False
    all_inside: bool = True  # no image is outside the class folders
    names: dict[Level, dict[str, list[str]]] = field(default_factory=dict)
    shapes: dict[frozenset[Level], str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def note(self, names: list[str], needs_patient: bool) -> None:
        for name in names if self.numbers else ():
            match = _NUMBER.fullmatch(name)
            if match and len(match[1]) < 9 and int(match[1]) < len(self.numbers):
                self.classes[name.casefold()] = self.numbers[int(match[1])]
        at = _nearest(names, self.classes)
        if at is None:
            self.all_inside = False
            if len(names) > 1 and len(self.others) < _SHOWN and names[-1] not in self.others:
                self.others.append(names[-1])
            return
        self.found = True
        if not needs_patient:
            return
        levels = dict(_levels(names, at))
        self.shapes.setdefault(frozenset(levels), "/".join(names[1:] or names))
        for level, name in levels.items():
            known = self.names.setdefault(level, {}).setdefault(self.classes[names[at].casefold()], [])
            if len(known) < 2 and name not in known:
                known.append(name)

    def patients(self) -> tuple[Level | None, tuple[str, ...], str]:
        """The level of patients, two of them, and why the level cannot be told."""
        examples = {
            level: next(tuple(two) for two in by_class.values() if len(two) > 1)
            for level, by_class in sorted(self.names.items())
            if any(len(two) > 1 for two in by_class.values())
        }
        if not examples:
            return None, (), ""
        seen = " or ".join(f"{_several(two)} ({_where(level)})" for level, two in examples.items())
        if len(examples) > 1:
            return None, (), f"it is unclear which folders are patients: {seen}"
        level, two = examples.popitem()
        if others := [shown for shape, shown in self.shapes.items() if level not in shape]:
            return None, (), f"some images are in folders that may be patients, {seen}, and others are in {others[0]}"
        return level, two, ""


def _several(names: Sequence[str]) -> str:
    return f"{', '.join(names)}, ..."


def _where(level: Level) -> str:
    side, depth = level
    return f"{side} the class folders" + (f", level {depth + 1}" if depth else "")


def _levels(names: list[str], at: int) -> Iterator[tuple[Level, str]]:
    """The folders above and below the class folder `names[at]` that may be patients; the base folder is none."""
    for side, part in (("above", names[1:at]), ("below", names[at + 1 :])):
        informative = [name for name in part if not _NO_PATIENT.fullmatch(name)]
        for depth, name in enumerate(informative):
            yield (side, depth), name


def _nearest(names: list[str], classes: dict[str, str]) -> int | None:
    return next((i for i in reversed(range(len(names))) if names[i].casefold() in classes), None)


def _split(path: bytes) -> list[bytes]:
    return [name for name in path.split(os.fsencode(os.sep)) if name]
