"""The threshold and what it is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cancernet_cli.segmentation import segmenters
from cancernet_cli.segmentation.segmenter.threshold import Haematoxylin, otsu_threshold

NUCLEUS, STROMA, GLASS = (90, 60, 140), (231, 178, 208), (244, 242, 243)


def field(*discs: tuple[int, int, int]) -> torch.Tensor:
    """Stroma with nuclei at (x, y, radius), `[1, 3, 96, 96]`."""
    y, x = np.mgrid[:96, :96]
    image = np.full((96, 96, 3), STROMA, np.uint8)
    for cx, cy, radius in discs:
        image[(x - cx) ** 2 + (y - cy) ** 2 <= radius**2] = NUCLEUS
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def test_otsu_parts_two_groups_of_values_between_them() -> None:
    values = torch.tensor([[0.1] * 30 + [0.9] * 10, [0.4] * 5 + [0.6] * 35]).reshape(2, 1, 5, 8)
    found = otsu_threshold(values, 0.0, 1.0).flatten()
    assert 0.1 < found[0] < 0.9
    assert 0.4 < found[1] < 0.6


def test_otsu_maximises_the_variance_between_the_classes_over_every_cut() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.cat([torch.randn(300, generator=generator) * 0.1 + 0.3, torch.rand(100, generator=generator)])
    found = float(otsu_threshold(values.reshape(1, 1, 20, 20), 0.0, 1.0))

    def between(cut: float) -> float:
        low, high = values[values <= cut], values[values > cut]
        if not len(low) or not len(high):
            return 0.0
        return float(len(low) * len(high) * (low.mean() - high.mean()) ** 2)

    assert between(found) >= 0.995 * max(between(i / 256) for i in range(257))


def test_haematoxylin_is_high_in_nuclei_and_low_in_eosin_and_glass() -> None:
    colours = torch.tensor([NUCLEUS, STROMA, GLASS]).float().reshape(3, 3, 1, 1) / 255
    nucleus, stroma, glass = Haematoxylin()(colours).flatten().tolist()
    assert nucleus > 0.3 > stroma
    assert abs(glass) < 0.05


def test_pure_haematoxylin_gives_its_own_amount() -> None:
    # Ruifrok's vector for haematoxylin, amount 0.7: light left is 10 ** (-0.7 * vector).
    vector = np.array([0.65, 0.70, 0.29]) / np.linalg.norm([0.65, 0.70, 0.29])
    light = torch.tensor(10 ** (-0.7 * vector)).float().reshape(1, 3, 1, 1)
    assert float(Haematoxylin()(light)) == pytest.approx(0.7, abs=1e-5)


def test_finds_the_nuclei_and_nothing_else() -> None:
    truth_area = np.pi * 10**2 + np.pi * 8**2
    mask = segmenters["threshold"].factory(None)(field((30, 30, 10), (65, 60, 8)))
    assert mask[0, 0, 30, 30] == 1
    assert mask[0, 0, 60, 65] == 1
    assert mask[0, 0, 10, 80] == 0
    assert float(mask.sum()) == pytest.approx(truth_area, rel=0.15)


def test_specks_are_opened_away() -> None:
    assert float(segmenters["threshold"].factory(None)(field((30, 30, 10), (70, 70, 0)))[0, 0, 60:, 60:].sum()) == 0


@pytest.mark.parametrize("colour", [GLASS, STROMA, (255, 255, 255)])
def test_an_image_without_nuclei_has_an_empty_mask(colour: tuple[int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.tensor(colour).float().reshape(1, 3, 1, 1) / 255 + 0.004 * torch.randn(
        1, 3, 64, 64, generator=generator
    )
    assert float(segmenters["threshold"].factory(None)(image.clamp(0, 1)).sum()) == 0
