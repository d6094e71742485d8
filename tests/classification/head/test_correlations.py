"""Correlations against NumPy's, and what they must not see."""

from __future__ import annotations

import numpy as np
import torch

from cancernet_cli.classification.head.correlations import channel_correlations


def test_equals_numpys_correlation_coefficients() -> None:
    maps = [torch.rand(2, 5, 6, 7), torch.rand(2, 3, 4, 4)]
    found = channel_correlations(maps)
    for image in range(2):
        expected = [np.corrcoef(m[image].flatten(1).numpy())[np.triu_indices(len(m[image]), 1)] for m in maps]
        np.testing.assert_allclose(found[image].numpy(), np.concatenate(expected), atol=2e-3)


def test_strength_and_offset_of_a_channel_do_not_count() -> None:
    maps = torch.rand(1, 6, 9, 9)
    changed = maps * torch.tensor([3.0, 0.5, 2.0, 1.0, 4.0, 0.7])[None, :, None, None] + 1
    torch.testing.assert_close(channel_correlations([maps]), channel_correlations([changed]), atol=2e-3, rtol=0)


def test_a_constant_channel_is_uncorrelated() -> None:
    maps = torch.rand(1, 2, 5, 5)
    maps[:, 1] = 0.3
    assert channel_correlations([maps]).abs().item() < 1e-3
