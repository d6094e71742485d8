"""Which images an epoch draws, and how often."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.random import Generator

from cancernet_cli.core.arrays import F64, I64, Strings

Sampling = Literal["natural", "class", "patient"]


def epoch_draws(labels: I64, patients: Strings, how: Sampling, count: int, *, seed: int, epoch: int) -> I64:
    """The rows that an epoch draws, in order; the same for the same seed and epoch.

    `natural` draws every image alike, `class` every class, `patient` every class and within it every patient. What is
    alike is so within one draw an epoch; a row comes again only when its group has no other left.

    Args:
        labels: `[N]`. patients: `[N]` names. count: of draws.

    Returns:
        `[count]`, rows of `labels`.
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
        drawn += [_cycled(his, n, rng) for his, n in zip(names, _evenly(draws, len(names), rng), strict=True)]
    return np.asarray(rng.permutation(np.concatenate(drawn)), np.int64)


def draw_shares(labels: I64, patients: Strings, how: Sampling) -> F64:
    """How often `epoch_draws` draws each row in the long run: `[N]`, adding up to 1."""
    shares = np.ones(len(labels))
    if how == "patient":
        _, at, counts = np.unique(_pairs(labels, patients), return_inverse=True, return_counts=True)
        shares = 1 / counts[at]
    if how != "natural":
        for label in np.unique(labels):
            shares[labels == label] /= shares[labels == label].sum()
    return np.asarray(shares / shares.sum(), np.float64)


def _pairs(labels: I64, patients: Strings) -> I64:
    """A number for each pair of class and patient, `[N]`."""
    at = np.unique(patients, return_inverse=True)[1].reshape(-1)
    return np.asarray(labels * (at.max() + 1) + at, np.int64)


def _cycled(rows: I64, count: int, rng: Generator) -> I64:
    """`count` of the rows: all of them in a random order, then all again in another, ..."""
    rounds = -(-count // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:count] if count else rows[:0]


def _evenly(count: int, parts: int, rng: Generator) -> list[int]:
    """`count` in parts that differ by one at most; who gets one more is drawn."""
    shares = np.full(parts, count // parts)
    shares[rng.permutation(parts)[: count % parts]] += 1
    return [int(share) for share in shares]
