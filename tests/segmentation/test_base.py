"""How a mask acts on pixels."""

from __future__ import annotations

import pytest
import torch

from cancernet_cli.segmentation import combine


@pytest.mark.parametrize(
    ("background_weight", "expected"), [(0.0, [0.0, 0.2, 0.4]), (0.5, [0.2, 0.3, 0.4]), (1.0, [0.4, 0.4, 0.4])]
)
def test_pixels_are_dimmed_by_what_lies_outside(background_weight: float, expected: list[float]) -> None:
    pixels, mask = torch.full((1, 3, 1, 3), 0.4), torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 1, 3)
    torch.testing.assert_close(combine(pixels, mask, background_weight)[0, 1, 0], torch.tensor(expected))
