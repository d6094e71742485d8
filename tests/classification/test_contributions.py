"""Contributions of places add up to the score; heads without exact ones get Grad-CAM."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from cancernet_cli.classification import build_classifier
from cancernet_cli.classification.base import Classifier, StandardisedLinear, heads
from cancernet_cli.classification.contributions import contributions
from cancernet_cli.core.cards import Architecture

DIRECTION = torch.tensor([-1.0, 1.0])
exact = [entry.name for entry in heads if "places" in entry.facts]


def classifier(head: str, levels: tuple[int, ...] = (2, 4)) -> Classifier:
    """Random weights; standardized features have random means and deviations."""
    torch.manual_seed(0)
    architecture = Architecture(backbone="test_efficientnet", head=head, levels=levels, classes=("benign", "malignant"))
    made = build_classifier(architecture).eval()
    if isinstance(made.head, StandardisedLinear):
        made.head.centre.normal_(std=0.1)
        made.head.spread.uniform_(0.5, 2)
    return made


def pixels() -> torch.Tensor:
    return torch.randn(3, 3, 96, 64, generator=torch.Generator().manual_seed(1))


def test_every_head_of_the_package_is_explained_exactly() -> None:
    assert set(exact) == {"linear", "flatten", "level_stats", "correlations"}


@pytest.mark.parametrize("head", exact)
def test_the_sum_over_places_is_the_score_less_the_bias(head: str) -> None:
    model = classifier(head)
    found = contributions(model, head, pixels(), DIRECTION)
    assert found.is_exact
    bias = float(model.head.linear.bias.detach() @ DIRECTION)  # type: ignore[operator, union-attr]
    assert found.constant == pytest.approx(bias)
    with torch.no_grad():
        score = model(pixels()) @ DIRECTION
    total = sum(level.double().sum(dim=(1, 2)) for level in found.levels) + found.constant
    torch.testing.assert_close(total, score.double(), rtol=1e-4, atol=1e-4)
    whole = found.at_size(96, 64)
    assert whole.shape == (3, 96, 64)
    torch.testing.assert_close(whole.double().sum(dim=(1, 2)) + found.constant, score.double(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("head", exact)
def test_a_place_speaks_for_its_own_pixels(head: str) -> None:
    """A change in one corner moves the map there more than at the far end, for a shallow level."""
    model = classifier(head, (1,))
    changed = pixels()
    changed[:, :, :16, :16] += 2
    before, after = (contributions(model, head, p, DIRECTION).at_size(96, 64) for p in (pixels(), changed))
    moved = (after - before).abs()
    assert moved[:, :16, :16].mean() > 3 * moved[:, 64:, 32:].mean()


def test_deleting_the_hottest_tenth_lowers_the_score_more_than_a_random_tenth() -> None:
    model = classifier("linear", (1,))
    images = pixels()
    maps = contributions(model, "linear", images, DIRECTION).at_size(96, 64)
    hottest = (maps > maps.flatten(1).quantile(0.9, dim=1)[:, None, None])[:, None]

    def score(deleted: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            filled = torch.where(deleted, images.mean(dim=(2, 3), keepdim=True), images)
            return torch.as_tensor(model(filled) @ DIRECTION)

    moved = [score(hottest.roll((13 * i, 17 * i), dims=(2, 3))) for i in range(1, 5)]
    assert (torch.stack(moved).mean(dim=0) > score(hottest)).all()


@pytest.fixture
def opaque() -> Iterator[str]:
    """A head of which no exact contributions are known."""
    entry = heads.register("opaque", summary="a test", reads=lambda maps: maps[-1].mean(dim=(2, 3)))

    @entry
    def make(channels: tuple[int, ...], classes: int) -> nn.Module:
        return Opaque(channels[-1], classes)

    yield "opaque"
    heads._entries.pop("opaque")


class Opaque(nn.Module):
    """Two layers on the mean of the deepest map."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, 8), nn.Tanh(), nn.Linear(8, classes))

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        found: torch.Tensor = self.layers(maps[-1].mean(dim=(2, 3)))
        return found


def test_other_heads_get_grad_cam_with_both_signs(opaque: str) -> None:
    model = classifier(opaque)
    found = contributions(model, opaque, pixels(), DIRECTION)
    assert not found.is_exact
    (level,) = found.levels
    with torch.no_grad():
        deepest = model.backbone(pixels())[-1]
    assert level.shape == deepest[:, 0].shape
    assert level.min() < 0 < level.max()
    # The gradient of the mean is the same everywhere, so the map is a product with it
    means = deepest.mean(dim=(2, 3)).requires_grad_()
    (gradient,) = torch.autograd.grad((model.head.layers(means) @ DIRECTION).sum(), means)  # type: ignore[union-attr, operator]
    expected = torch.einsum("bc,bchw->bhw", gradient, deepest) / deepest[0, 0].numel()
    torch.testing.assert_close(level, expected, rtol=1e-4, atol=1e-6)
