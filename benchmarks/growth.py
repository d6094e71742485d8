"""Measure whether peak memory grows from a small input to a large one: alternating runs, medians, the difference."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from processes import Measured


def grown_between(sizes: Sequence[int], rounds: int, run: Callable[[int], Measured]) -> dict[str, Any]:
    """`peaks`, the medians for each size; `runs`, the single values; and the growth from the smaller to the larger.

    A first run of the smaller size, in which the network is converted once for all later ones, is not counted.

    Args:
        sizes: of the smaller and of the larger input.
        run: runs the command on the input of that size.
    """
    runs: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    run(min(sizes))
    for size in [*sizes] * rounds:
        taken = run(size)
        runs[size].append(
            {
                "elapsed_s": round(taken.elapsed_s, 1),
                "peak_rss_mb": round(taken.peak_rss_bytes / 1e6, 1),
                "peak_tree_mb": round(taken.peak_tree_bytes / 1e6, 1),
            }
        )
    peaks = {
        size: {name: statistics.median(one[name] for one in found) for name in found[0]} for size, found in runs.items()
    }
    small, large = (peaks[size] for size in sizes)
    grown = {f"{name}_grown": round(large[name] - small[name], 1) for name in ("peak_rss_mb", "peak_tree_mb")}
    return {"peaks": peaks, "runs": runs, **grown}


def check_growth(found: dict[str, Any], limit_mb: float) -> None:
    """Leave with 1 when memory grew by more than so much."""
    if max(found["peak_rss_mb_grown"], found["peak_tree_mb_grown"]) > limit_mb:
        raise SystemExit(f"memory grew by more than {limit_mb:g} MB")
