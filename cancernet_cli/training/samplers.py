"""Sampling of training images: natural, or balanced by class or patient."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from cancernet_cli.core.arrays import F64, I64, Strings
from cancernet_cli.core.choices import Sampling


def epoch_draws(labels: I64, patients: Strings, how: Sampling, count: int, *, seed: int, epoch: int) -> I64:
    """The rows that an epoch draws, in order; deterministic in seed and epoch.

    `natural` draws all images equally often, `class` all classes, `patient` all classes and, within each, all patients.
    Numbers of draws differ by at most one per epoch; a row is repeated only once its group is exhausted.

    Args:
        labels: `[N]`. patients: `[N]` names. count: number of draws.

    Returns:
        `[count]` row numbers.
    """
    rng = np.random.default_rng([seed, epoch])
    rows = np.arange(len(labels))
    if how == "natural":
        return _cycled(rows, count, rng)
    drawn = []
    classes = [rows[labels == label] for label in np.unique(labels)]
    for of_class, draws in zip(classes, _evenly(count, len(classes), rng), strict=True):
        if how == "class":
            drawn.append(_cycled(of_class, draws, rng))
            continue
        names = [of_class[patients[of_class] == name] for name in np.unique(patients[of_class])]
        drawn += [_cycled(own, n, rng) for own, n in zip(names, _evenly(draws, len(names), rng), strict=True)]
    return np.asarray(rng.permutation(np.concatenate(drawn)), np.int64)


def draw_shares(labels: I64, patients: Strings, how: Sampling) -> F64:
    """The long-run frequency of each row in `epoch_draws`: `[N]`, summing to 1."""
    shares = np.ones(len(labels))
    if how == "patient":
        pairs = np.stack([labels, np.unique(patients, return_inverse=True)[1]])
        _, at, counts = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
        shares = 1 / counts[at.reshape(-1)]
    if how != "natural":
        for label in np.unique(labels):
            shares[labels == label] /= shares[labels == label].sum()
    return np.asarray(shares / shares.sum(), np.float64)


def _cycled(rows: I64, count: int, rng: Generator) -> I64:
    """`count` of the rows: all in a random order, then all again in another, and so on."""
    rounds = -(-count // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:count] if count else rows[:0]


def _evenly(count: int, parts: int, rng: Generator) -> list[int]:
    """`count` divided into parts that differ by at most one; the larger ones are random."""
    shares = np.full(parts, count // parts)
    shares[rng.permutation(parts)[: count % parts]] += 1
    return [int(share) for share in shares]
