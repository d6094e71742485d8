"""Pool tile probabilities into slide probabilities."""

from __future__ import annotations

import numpy as np

from cancernet_cli.core.arrays import F32, F64
from cancernet_cli.core.options import Pool


def pooled(probs: F32, pool: Pool, *, positive: int | None, top_k: int) -> F32:
    """Slide probabilities `[K]` float32 from tile probabilities `[T, K]`, computed in float64.

    `mean`: over all tiles. `topk`: mean over the `top_k` most positive tiles. `max`: of the most positive tile.
    `noisy-or`: that at least one tile is positive, assuming independence; close to 1 for any slide with many tiles.
    Without a positive class, each class is pooled separately and the results are normalized to sum to 1.

    Source: Ilse, Tomczak, Welling, "Attention-based Deep Multiple Instance Learning", ICML 2018, section 2, for the
    pooling functions.

    Args:
        probs: T at least 1, no NaN.
        positive: index of the pooled class; the other of two classes gets the complement.
    """
    exact = probs.astype(np.float64)
    if pool == "mean":
        found = exact.mean(axis=0)
    elif positive is None:
        each = np.array([_one(exact[:, k], pool, top_k) for k in range(exact.shape[1])])
        found = each / each.sum()
    else:
        share = _one(exact[:, positive], pool, top_k)
        found = np.full(2, 1 - share)
        found[positive] = share
    return np.asarray(found, np.float32)


def _one(values: F64, pool: Pool, top_k: int) -> float:
    if pool == "max":
        return float(values.max())
    if pool == "topk":
        k = min(top_k, len(values))
        return float(np.sort(values)[-k:].mean())
    return float(-np.expm1(np.log1p(-np.minimum(values, 1 - 1e-12)).sum()))
