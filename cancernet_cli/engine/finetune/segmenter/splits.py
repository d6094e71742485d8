"""The pairs that each training of a U-Net trains, validates and tests on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cancernet_cli.core.arrays import I64, Strings
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.data.splits.folds import SplitPart, held_out_patients, split_part
from cancernet_cli.data.splits.pairs import Pair, pair_folds

NOTHING = np.empty(0, np.int64)


def segmenter_parts(pairs: Sequence[Pair], groups: Strings, options: FinetuneOptions) -> list[SplitPart]:
    """One part per training; the last, `final`, gives the weights that are kept.

    A split in the manifest, or `--folds 1`, is one training, tested on its test patients. Otherwise every fold is
    tested by a training on the others, and `final` trains on all patients.

    Args:
        groups: `[N]` names of what a drawn split keeps together.

    Raises:
        InputError: there are too few patients, or a given split has nothing to train or test on.
    """
    if any(pair.split for pair in pairs) and not options.resplit:
        part = split_part("final", np.array([pair.split for pair in pairs]))
        if not (len(part.train) and len(part.test)):
            raise InputError("the split has nothing to train on, or nothing to test on", fix="pass --resplit")
        return [part]
    if options.folds == 1:
        return [split_part("final", _drawn(groups, options))]
    folds = pair_folds(pairs, options.folds, options.seed, resplit=options.resplit, groups=groups.tolist())
    found = [
        SplitPart(f"fold_{fold}", np.flatnonzero(folds != fold), NOTHING, np.flatnonzero(folds == fold))
        for fold in np.unique(folds).tolist()
    ]
    return [*found, SplitPart("final", np.arange(len(pairs)), NOTHING, NOTHING)]


def _drawn(groups: Strings, options: FinetuneOptions) -> Strings:
    """`train`, `val` or `test` for each pair, drawn with the seed; with two patients none is left to validate."""
    splits = np.full(len(groups), "train")
    splits[np.isin(groups, list(held_out_patients(groups.tolist(), options.test_share, options.seed)))] = "test"
    learning = groups[splits == "train"]
    if len(np.unique(learning)) > 1:
        chosen = held_out_patients(learning.tolist(), options.validation_share, options.seed)
        splits[np.isin(groups, list(chosen))] = "val"
    return splits


def card_splits(parts: Sequence[SplitPart], pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """The patients of each split, as the card has them."""
    if len(parts) > 1:
        return {part.name: _patients(part.test, pairs) for part in parts if len(part.test)}
    (only,) = parts
    named = {"train": only.train, "validation": only.validate, "test": only.test}
    return {name: _patients(rows, pairs) for name, rows in named.items() if len(rows)}


def _patients(rows: I64, pairs: Sequence[Pair]) -> list[str]:
    return sorted({pairs[row].patient for row in rows.tolist()})
