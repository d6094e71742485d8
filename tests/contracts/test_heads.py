"""What every head promises."""

from __future__ import annotations

import pytest
import torch

from cancernet_cli.classification import heads

CHANNELS = (4, 6)


@pytest.mark.parametrize("name", heads.names())
@pytest.mark.parametrize("classes", [2, 8])
class TestHead:
    def test_gives_a_logit_for_each_class_whatever_the_precision(self, name: str, classes: int) -> None:
        head = heads[name].factory(CHANNELS, classes)
        logits = head([torch.rand(3, 4, 8, 8), torch.rand(3, 6, 4, 4)])
        assert logits.shape == (3, classes)
        assert logits.dtype == torch.float32

    def test_an_image_has_the_same_logits_alone_as_in_a_batch(self, name: str, classes: int) -> None:
        head = heads[name].factory(CHANNELS, classes).eval()
        maps = [torch.rand(3, 4, 9, 7), torch.rand(3, 6, 5, 1)]
        together = head(maps)
        for i in range(3):
            torch.testing.assert_close(head([m[i : i + 1] for m in maps])[0], together[i], atol=1e-5, rtol=0)

    def test_is_linear_in_what_it_reads(self, name: str, classes: int) -> None:
        torch.manual_seed(0)
        head = heads[name].factory(CHANNELS, classes).eval()
        maps = [torch.rand(5, 4, 8, 8), torch.rand(5, 6, 4, 4)]
        read = heads[name].facts["reads"](maps)
        assert read.shape == (5, head.linear.in_features)
        scaled = (read - getattr(head, "centre", 0)) / getattr(head, "spread", 1)
        torch.testing.assert_close(head.linear(scaled), head(maps))
