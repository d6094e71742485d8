"""The guard against leaks: patients or images that are both trained and tested on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cancernet_cli.core.arrays import I64, Strings
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Reporter, Warn
from cancernet_cli.core.options import LearningOptions
from cancernet_cli.core.records import Failure
from cancernet_cli.data.splits.duplicates import Fingerprint, same_pictures
from cancernet_cli.data.splits.folds import split_across
from cancernet_cli.data.splits.pairs import Pair
from cancernet_cli.engine.finetune.dataset.reading import read_fingerprints

_SHOWN = 3
_FIX = (
    "correct the list, pass --resplit to have the split drawn, or pass --allow-leak to continue with figures stamped "
    "as leaking"
)


@dataclass(frozen=True)
class Guarded:
    """Findings on N images.

    groups: `[N]`, the unit that a split must keep together: the patient or, where patients share a picture, the first.
    leaks: a sentence for each way in which the given split leaks; empty if it does not.
    """

    groups: Strings
    leaks: tuple[str, ...]


def refuse_split_patients(patients: Strings, sides: NDArray[Any], options: LearningOptions) -> None:
    """Check, before images are read, that a given split keeps each patient on one side.

    Raises:
        InputError: it does not, and --allow-leak was not given.
    """
    _refuse(_patients_on_two_sides(patients, sides), options)


def guard(
    prints: Sequence[Fingerprint | Failure | None],
    names: Sequence[str],
    patients: Strings,
    sides: NDArray[Any] | None,
    options: LearningOptions,
    report: Reporter,
    *,
    labels: Sequence[str] | None = None,
) -> Guarded:
    """Check, before training, that a split does not leak.

    Args:
        prints: N fingerprints; anything else for a file that cannot be read. names: of the files, for messages.
        patients: `[N]` names. sides: `[N]`, each file's fold or part in the given split; None: the split is yet to be
            drawn, by `groups`. labels: N class names, to warn of identical pixels with different labels.

    Raises:
        InputError: the given split has a patient or an image on two sides, and --allow-leak was not given.
    """
    leaks = [] if sides is None else _patients_on_two_sides(patients, sides)
    same = same_pictures([one if isinstance(one, Fingerprint) else None for one in prints])
    if labels is not None and (split := _pictures_across(same.exact, np.asarray(labels), names)):
        report(Warn(f"{split} have equal pixels and different labels"))
    groups = joined_patients(patients, same.near)
    if sides is not None:
        if split := _pictures_across(same.near, sides, names):
            leaks.append(f"{split} show the same picture on two sides of the split")
        _refuse(leaks, options)
    elif split := _pictures_across(same.near, patients, names):
        report(Warn(f"{split} show the same picture under different patients, who are kept on one side of the split"))
    for leak in leaks:
        report(Warn(f"the split leaks: {leak}"))
    return Guarded(groups, tuple(leaks))


def guard_pairs(pairs: Sequence[Pair], options: LearningOptions, report: Reporter) -> Guarded:
    """`guard` for images with masks, which are read here; the given split is their column `split`, else `fold`."""
    sides = None
    if not options.resplit:
        if any(pair.split for pair in pairs):
            sides = np.array([pair.split for pair in pairs])
        elif any(pair.fold is not None for pair in pairs):
            sides = np.array([f"fold {pair.fold}" for pair in pairs])
    patients = np.array([pair.patient for pair in pairs])
    if sides is not None:
        refuse_split_patients(patients, sides, options)
    prints = read_fingerprints([os.fsencode(pair.image.absolute()) for pair in pairs], options, report)
    return guard(prints, [str(pair.image) for pair in pairs], patients, sides, options, report)


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
    split = split_across(patients, sides)
    if not split:
        return []
    shown = [f"{patient} in {' and '.join(found)}" for patient, found in list(split.items())[:_SHOWN]]
    who = "1 patient is" if len(split) == 1 else f"{len(split)} patients are"
    return [f"{who} on two sides of the split ({_listed(shown, split)})"]


def _pictures_across(pictures: I64, sides: NDArray[Any], names: Sequence[str]) -> str:
    """The files whose picture is on more than one side, as text; empty if there are none."""
    split = split_across(pictures, sides)
    if not split:
        return ""
    rows = np.flatnonzero(np.isin(pictures, [int(picture) for picture in split]))
    shown = []
    for picture in list(split)[:_SHOWN]:
        members = rows[pictures[rows] == int(picture)]
        other = members[sides[members] != sides[members[0]]][0]
        shown.append(f"{names[members[0]]} ({sides[members[0]]}) = {names[other]} ({sides[other]})")
    return f"{len(rows)} files ({_listed(shown, split)})"


def _listed(shown: list[str], everything: dict[str, list[str]]) -> str:
    return "; ".join(shown) + ("; ..." if len(everything) > len(shown) else "")


def _refuse(leaks: list[str], options: LearningOptions) -> None:
    if leaks and not options.allow_leak:
        raise InputError(f"{', and '.join(leaks)}: the figures would be worthless", fix=_FIX)
