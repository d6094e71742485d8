"""Choose the rows that a page shows, while a table of any length streams by."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cancernet_cli.core.arrays import F64, I64, Bools

# Why a row is shown, in the order in which rows get pictures, and the part of all shown rows that each may fill.
REASONS = {
    "wrong": ("most wrong", 0.2),
    "doubt": ("nearest the threshold", 0.15),
    "slide": ("whole slide", 0.05),
    "flagged": ("flagged", 0.15),
    "label": ("for each label", 0.15),
    "failed": ("failed", 0.1),
    "random": ("random", 1.0),
}


@dataclass
class Best:
    """The rows with the lowest keys so far; of equal keys, the first row."""

    most: int
    keys: F64 = field(default_factory=lambda: np.empty(0))
    rows: I64 = field(default_factory=lambda: np.empty(0, np.int64))

    def add(self, keys: F64, rows: I64) -> None:
        """Consider more rows; NaN keys are never chosen."""
        known = ~np.isnan(keys)
        if len(self.keys) >= self.most and known.any():
            known &= keys < self.keys[-1]  # later rows lose ties
        if not known.any():
            return
        self.keys = np.concatenate([self.keys, keys[known]])
        self.rows = np.concatenate([self.rows, rows[known]])
        order = np.lexsort((self.rows, self.keys))[: self.most]
        self.keys, self.rows = self.keys[order], self.rows[order]


class Sample:
    """A choice of rows by several reasons, the same for the same rows and seed however they are divided into batches.

    total: rows to choose. labels: classes, each with its own share of the reason `label`.
    """

    def __init__(self, total: int, labels: int, seed: int) -> None:
        self.total, self._seed = total, seed
        sizes = {name: max(1, int(total * part)) for name, (_, part) in REASONS.items()}
        self._best = {name: [Best(size)] for name, size in sizes.items()}
        self._best["label"] = [Best(max(1, sizes["label"] // max(1, labels))) for _ in range(labels)]

    def add(
        self, rows: I64, *, error: F64, doubt: F64, is_slide: Bools, is_flagged: Bools, has_failed: Bools, labels: I64
    ) -> None:
        """Consider N rows.

        Args:
            rows: `[N]` row numbers. error: `[N]`, 1 - probability of the true class where the label is wrong, else NaN.
            doubt: `[N]`, distance to the decision, NaN without a prediction. labels: `[N]` class numbers, -1 for none.
        """
        chance = hashed(rows, self._seed)
        nothing = np.full(len(rows), np.nan)
        self._best["wrong"][0].add(-error, rows)
        self._best["doubt"][0].add(doubt, rows)
        for name, chosen in (("slide", is_slide), ("flagged", is_flagged), ("failed", has_failed)):
            self._best[name][0].add(np.where(chosen, chance, nothing), rows)
        for k, best in enumerate(self._best["label"]):
            best.add(np.where(labels == k, chance, nothing), rows)
        self._best["random"][0].add(chance, rows)

    def chosen(self) -> dict[int, list[str]]:
        """Rows with their reasons, in the order in which they get pictures: one of each reason in turn."""
        queues = [(name, best.rows.tolist()) for name, parts in self._best.items() for best in parts]
        found: dict[int, list[str]] = {}
        for turn in range(max((len(rows) for _, rows in queues), default=0)):
            for _, rows in queues:
                if turn < len(rows) and len(found) < self.total:
                    found.setdefault(rows[turn], [])
        for name, rows in queues:
            for row in rows:
                if row in found and name not in found[row]:
                    found[row].append(name)
        return found


def hashed(rows: I64, seed: int) -> F64:
    """A fixed random number in [0, 1) for each row number (SplitMix64, Steele et al., OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        z = rows.astype(np.uint64) + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return np.asarray((z >> np.uint64(11)).astype(np.float64) / 2**53)
