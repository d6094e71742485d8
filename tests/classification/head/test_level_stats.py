"""The statistics head against numpy."""

from __future__ import annotations

import numpy as np
import torch

from cancernet_cli.classification import heads
from cancernet_cli.classification.head.level_stats import level_statistics


def test_statistics_are_the_mean_and_deviation_of_each_channel_level_by_level() -> None:
    maps = [torch.rand(2, 3, 7, 5), torch.rand(2, 4, 3, 2)]
    expected = np.concatenate([f(m.numpy(), axis=(2, 3)) for m in maps for f in (np.mean, np.std)], axis=1)
    np.testing.assert_allclose(level_statistics(maps).numpy(), expected, atol=1e-5)


def test_half_precision_maps_with_great_values_do_not_overflow() -> None:
    maps = [torch.full((1, 2, 50, 50), 3e4).half()]
    assert torch.isfinite(level_statistics(maps)).all()


def test_features_are_standardised_by_the_stored_buffers() -> None:
    head = heads["level_stats"].factory((2,), 2)
    maps = [torch.rand(1, 2, 6, 6)]
    with torch.no_grad():
        head.centre.copy_(level_statistics(maps)[0])
        head.linear.bias.copy_(torch.tensor([0.25, -1.0]))
    torch.testing.assert_close(head(maps), torch.tensor([[0.25, -1.0]]))
