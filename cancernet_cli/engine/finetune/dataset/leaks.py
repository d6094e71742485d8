"""The guard against leaks: a patient, or a picture, that is learned from and tested on."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cancernet_cli.core import interruption
from cancernet_cli.core.arrays import I64, Strings
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, Warn
from cancernet_cli.core.options import LearningOptions
from cancernet_cli.core.system import available_cores
from cancernet_cli.data.readers import UnreadableImage, read_image
from cancernet_cli.data.splits.duplicates import Fingerprint, SamePictures, fingerprint, same_pictures
from cancernet_cli.data.splits.folds import torn_patients
from cancernet_cli.data.splits.pairs import Pair

STAGE = "looking for duplicates"
_SHOWN = 3
_FIX = (
    "correct the list, or pass --resplit to have the split drawn, or --allow-leak to go on with figures that are "
    "stamped as leaking"
)


@dataclass(frozen=True)
class Guarded:
    """What the guard found of N images.

    groups: `[N]`, the unit that a split must not tear: the patient or, where patients share a picture, the first of
    them. leaks: a sentence for each way in which the given split leaks; empty when it does not.
    """

    groups: Strings
    leaks: tuple[str, ...]


def guard(
    locations: Sequence[bytes],
    names: Sequence[str],
    patients: Strings,
    sides: NDArray[Any] | None,
    options: LearningOptions,
    report: Reporter,
    *,
    labels: Sequence[str] | None = None,
) -> Guarded:
    """Make sure that a split does not leak, before anything is learned from it.

    Args:
        names: of the files, for messages. sides: `[N]`, the given split's fold or part of each; None: one is yet to be
            drawn, by `groups`. labels: to warn of equal pixels with two labels.

    Raises:
        InputError: the given split has a patient or a picture on two sides, and --allow-leak was not given.
    """
    leaks = [] if sides is None else _patients_on_two_sides(patients, sides)
    _refuse(leaks, options)  # before the minutes that reading takes
    same = find_same_pictures(locations, options, report)
    if labels is not None and (torn := _torn(same.exact, np.asarray(labels), names)):
        report(Warn(f"{torn} have equal pixels and different labels"))
    groups = joined_patients(patients, same.near)
    if sides is not None:
        if torn := _torn(same.near, sides, names):
            leaks.append(f"{torn} show the same picture on two sides of the split")
        _refuse(leaks, options)
    elif torn := _torn(same.near, patients, names):
        report(Warn(f"{torn} show the same picture under different patients, who are kept on one side of the split"))
    for leak in leaks:
        report(Warn(f"the split leaks: {leak}"))
    return Guarded(groups, tuple(leaks))


def guard_pairs(pairs: Sequence[Pair], options: LearningOptions, report: Reporter) -> Guarded:
    """`guard` for images with masks; their columns `split` or, where there is none, `fold` are the given split.

    Raises:
        InputError: as `guard`.
    """
    sides = None
    if not options.resplit:
        if any(pair.split for pair in pairs):
            sides = np.array([pair.split for pair in pairs])
        elif any(pair.fold is not None for pair in pairs):
            sides = np.array([f"fold {pair.fold}" for pair in pairs])
    locations = [os.fsencode(pair.image.absolute()) for pair in pairs]
    patients = np.array([pair.patient for pair in pairs])
    return guard(locations, [str(pair.image) for pair in pairs], patients, sides, options, report)


def find_same_pictures(locations: Sequence[bytes], options: LearningOptions, report: Reporter) -> SamePictures:
    """Which files show the same picture; one that cannot be read is passed over, training will say so."""
    max_pixels = int(options.max_megapixels * 1e6)

    def look(location: bytes) -> Fingerprint | None:
        try:
            return fingerprint(read_image(location, max_pixels=max_pixels))
        except UnreadableImage:
            return None

    report(StageStarted(STAGE, len(locations), "images"))
    threads = options.workers if isinstance(options.workers, int) else available_cores()
    prints: list[Fingerprint | None] = []
    pool = ThreadPoolExecutor(max(1, min(threads, 16)))
    # Reading changes the process's warning filters and puts them back; threads that do so at once may not.
    with warnings.catch_warnings():
        try:
            for found in pool.map(look, locations):
                prints.append(found)
                report(StageAdvanced(STAGE, 1))
                interruption.check()
        finally:
            pool.shutdown(cancel_futures=True)
    same = same_pictures(prints)
    report(StageFinished(STAGE))
    return same


def joined_patients(patients: Strings, pictures: I64) -> Strings:
    """`[N]`: each image's patient or, of patients that share a picture, the first by name.

    Args:
        pictures: `[N]`, equal where the picture is.
    """
    names, patient = np.unique(patients, return_inverse=True)
    _, picture = np.unique(pictures, return_inverse=True)
    nodes = len(names) + int(picture.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(patient)), (patient, len(names) + picture)), shape=(nodes, nodes))
    _, group = connected_components(graph, directed=False)
    _, first, back = np.unique(group[: len(names)], return_index=True, return_inverse=True)
    return np.asarray(names[first[back]][patient], np.str_)


def _patients_on_two_sides(patients: Strings, sides: NDArray[Any]) -> list[str]:
    torn = torn_patients(patients, sides)
    if not torn:
        return []
    shown = [f"{patient} in {' and '.join(found)}" for patient, found in list(torn.items())[:_SHOWN]]
    return [f"{_count(len(torn), 'patient is', 'patients are')} on two sides of the split ({_listed(shown, torn)})"]


def _torn(pictures: I64, sides: NDArray[Any], names: Sequence[str]) -> str:
    """The files of pictures that stand on more than one side, in words; nothing where there are none."""
    torn = torn_patients(pictures, sides)
    if not torn:
        return ""
    rows = np.flatnonzero(np.isin(pictures, [int(picture) for picture in torn]))
    shown = []
    for picture in list(torn)[:_SHOWN]:
        members = rows[pictures[rows] == int(picture)]
        other = members[sides[members] != sides[members[0]]][0]
        shown.append(f"{names[members[0]]} ({sides[members[0]]}) = {names[other]} ({sides[other]})")
    return f"{len(rows)} files ({_listed(shown, torn)})"


def _listed(shown: list[str], everything: dict[str, list[str]]) -> str:
    return "; ".join(shown) + ("; ..." if len(everything) > len(shown) else "")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _refuse(leaks: list[str], options: LearningOptions) -> None:
    if leaks and not options.allow_leak:
        raise InputError(f"{', and '.join(leaks)}: the figures would be worthless", fix=_FIX)
