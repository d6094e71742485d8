"""Strength of stain and light must not be seen any more; what is white stays white."""

from __future__ import annotations

import numpy as np
import torch

from cancernet_cli.segmentation.stain_normalization import TARGET, normalize_stain
from tests.he_images import he_like


def pixels(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255


def test_the_98th_percentile_of_each_channels_density_becomes_the_target() -> None:
    density = -torch.log10(normalize_stain(pixels(he_like(0, 120, 90))))
    found = np.percentile(density[0].flatten(1).numpy(), 98, axis=1)
    np.testing.assert_allclose(found, TARGET, atol=0.02)


def test_a_weaker_stain_looks_the_same() -> None:
    image = pixels(he_like(1, 120, 90))
    weaker = image**0.6  # all densities times 0.6
    torch.testing.assert_close(normalize_stain(weaker), normalize_stain(image), atol=1e-3, rtol=0)


def test_white_stays_white_and_glass_is_not_stretched() -> None:
    assert (normalize_stain(torch.ones(1, 3, 20, 30)) == 1).all()
    assert normalize_stain(torch.full((1, 3, 40, 40), 253 / 255)).min() >= 220 / 255


def test_a_tinted_lamp_is_seen_unless_it_is_balanced() -> None:
    image = he_like(3, 120, 90)
    image[:30] = 250  # glass
    tinted = pixels(image) * torch.tensor([0.8, 0.95, 0.9])[None, :, None, None]
    seen, balanced = (normalize_stain(tinted, balance=b)[0, :, :30].mean(dim=(1, 2)) for b in (False, True))
    assert seen.max() - seen.min() > 0.04
    assert balanced.max() - balanced.min() < 0.01


def test_black_gives_numbers_and_views_do_not_depend_on_each_other() -> None:
    views = torch.cat([torch.zeros(1, 3, 30, 40), pixels(he_like(4, 40, 30))])
    together = normalize_stain(views)
    assert torch.isfinite(together).all()
    torch.testing.assert_close(normalize_stain(views[1:]), together[1:])
