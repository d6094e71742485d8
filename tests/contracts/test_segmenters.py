"""What every segmenter promises."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cancernet_cli.segmentation import segmenters
from tests.he_images import he_like
from tests.tiny_model import write_tiny_unet


def pixels(*seeds: int, width_px: int = 70, height_px: int = 50) -> Tensor:
    images = [torch.from_numpy(he_like(seed, width_px, height_px)) for seed in seeds]
    return torch.stack(images).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("name", segmenters.names())
class TestSegmenter:
    @pytest.fixture
    def segmenter(self, name: str, tmp_path: Path) -> nn.Module:
        needs_model = segmenters[name].facts.get("needs_model")
        return segmenters[name].factory(write_tiny_unet(tmp_path / "tiny_unet") if needs_model else None).eval()

    @pytest.mark.parametrize(("width_px", "height_px"), [(16, 16), (17, 33), (64, 64), (101, 47)])
    def test_mask_has_the_size_of_the_image_and_lies_in_0_to_1(
        self, segmenter: nn.Module, width_px: int, height_px: int
    ) -> None:
        with torch.inference_mode():
            mask = segmenter(pixels(1, 2, width_px=width_px, height_px=height_px))
        assert mask.shape == (2, 1, height_px, width_px)
        assert mask.dtype == torch.float32
        assert 0 <= mask.min() <= mask.max() <= 1

    def test_an_image_has_the_same_mask_alone_as_in_a_batch(self, segmenter: nn.Module) -> None:
        batch = pixels(1, 2, 3)
        with torch.inference_mode():
            together = segmenter(batch)
            for i in range(3):
                torch.testing.assert_close(segmenter(batch[i : i + 1])[0], together[i], atol=1e-5, rtol=0)

    @pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
    def test_an_image_of_one_colour_has_a_finite_mask(self, segmenter: nn.Module, value: float) -> None:
        with torch.inference_mode():
            mask = segmenter(torch.full((1, 3, 32, 32), value))
        assert torch.isfinite(mask).all()

    def test_channels_last_memory_changes_nothing(self, segmenter: nn.Module) -> None:
        batch = pixels(1, 2)
        with torch.inference_mode():
            torch.testing.assert_close(
                segmenter(batch.to(memory_format=torch.channels_last)), segmenter(batch), atol=1e-5, rtol=0
            )

    def test_says_in_a_line_what_it_is(self, name: str) -> None:
        assert segmenters[name].facts["summary"]
