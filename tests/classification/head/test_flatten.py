"""The paper's head reads every position of the last level."""

from __future__ import annotations

import torch

from cancernet_cli.classification.head.flatten import flattened


def test_seven_by_seven_is_read_as_it_is() -> None:
    maps = [torch.rand(2, 3, 14, 14), torch.rand(2, 5, 7, 7)]
    torch.testing.assert_close(flattened(maps), maps[-1].reshape(2, 5 * 49), rtol=0, atol=0)


def test_other_sizes_are_averaged_onto_seven_by_seven() -> None:
    blocks = torch.rand(2, 5, 7, 7)
    larger = blocks.repeat_interleave(3, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(flattened([larger]), blocks.flatten(1))


def test_half_precision_maps_are_read_as_float32() -> None:
    assert flattened([torch.rand(1, 2, 7, 7).half()]).dtype == torch.float32
