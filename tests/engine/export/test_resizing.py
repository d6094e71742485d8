"""Resizing in a graph gives OpenCV's pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cancernet_cli.core.pixels import ResizeStep, interpolate
from cancernet_cli.engine.export.resizing import resizing
from tests.he_images import he_like

STEPS = [
    ((50, 50), ResizeStep(224, 224, "cubic")),
    ((61, 47), ResizeStep(97, 120, "cubic")),
    ((700, 460), ResizeStep(352, 224, "linear")),  # BreakHis at half size
    ((128, 96), ResizeStep(64, 48, "linear")),  # exactly half: OpenCV averages
    ((300, 200), ResizeStep(224, 150, "linear")),
    ((128, 96), ResizeStep(64, 48, "area")),
    ((128, 96), ResizeStep(32, 24, "area")),
    ((333, 250), ResizeStep(64, 48, "area")),
]


@pytest.mark.parametrize(("size", "step"), STEPS, ids=str)
def test_gives_the_pixels_of_opencv(size: tuple[int, int], step: ResizeStep) -> None:
    images = [he_like(1, *size), np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)]
    expected = np.stack([interpolate(image, step) for image in images])
    given = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    found = resizing(*size, step)(given).permute(0, 2, 3, 1).numpy()
    apart = np.abs(found - expected.astype(np.float32))
    # A sum that OpenCV rounds at a tie, computed in another order, may fall on the other side.
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-4
