"""The losses on hand-made cases and against other implementations."""

from __future__ import annotations

import math

import pytest
import torch
from segmentation_models_pytorch.losses import DiceLoss
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from cancernet_cli.training.losses import (
    class_weights,
    classification_loss,
    dice_cross_entropy,
    focal_loss,
    share_of_pixels_right,
    share_right,
)

LOGITS = torch.tensor([[2.0, 0.0], [0.5, 1.0], [-1.0, 0.3], [3.0, -2.0]])
TARGET = torch.tensor([0, 1, 0, 1])


def test_cross_entropy_is_pytorchs() -> None:
    loss = classification_loss("cross-entropy", torch.tensor([1, 1]))
    assert float(loss(LOGITS, TARGET)) == pytest.approx(float(torch.nn.functional.cross_entropy(LOGITS, TARGET)))


def test_smoothed_labels_give_a_share_to_all_classes() -> None:
    target = 0.9 * F.one_hot(TARGET, 2) + 0.1 / 2
    each = -(target * F.log_softmax(LOGITS, dim=1)).sum(dim=1)
    loss = classification_loss("cross-entropy", torch.tensor([1, 1]), 0.1)
    assert float(loss(LOGITS, TARGET)) == pytest.approx(float(each.mean()))
    weighted = classification_loss("weighted", torch.tensor([1, 1]), 0.1)
    assert float(weighted(LOGITS, TARGET)) == pytest.approx(float(each.mean()))


def test_weights_are_inverse_to_counts_and_one_on_average() -> None:
    counts = torch.tensor([30, 10])
    weights = class_weights(counts)
    assert weights.tolist() == pytest.approx([40 / 60, 40 / 20])
    assert float((weights * counts).sum() / counts.sum()) == pytest.approx(1)
    assert class_weights(torch.tensor([5, 0, 5])).tolist() == [1, 0, 1]


def test_halves_of_a_batch_average_to_the_whole() -> None:
    loss = classification_loss("weighted", torch.tensor([30, 10]))
    halves = (loss(LOGITS[:2], TARGET[:2]) + loss(LOGITS[2:], TARGET[2:])) / 2
    assert float(halves) == pytest.approx(float(loss(LOGITS, TARGET)))


def test_focal_loss_is_torchvisions_for_two_classes() -> None:
    theirs = sigmoid_focal_loss(LOGITS[:, 1] - LOGITS[:, 0], TARGET.float(), alpha=-1, gamma=2, reduction="mean")
    assert float(focal_loss(LOGITS, TARGET)) == pytest.approx(float(theirs))
    assert float(classification_loss("focal", torch.tensor([1, 1]))(LOGITS, TARGET)) == pytest.approx(float(theirs))


def test_focal_loss_of_a_sure_and_right_network_has_a_gradient_that_is_a_number() -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    focal_loss(logits, torch.tensor([0])).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_shares_that_are_right() -> None:
    assert float(share_right(LOGITS, TARGET)) == 0.5
    pixels = torch.tensor([1.0, -1.0, 0.0, -3.0]).reshape(1, 1, 2, 2)
    assert float(share_of_pixels_right(pixels, torch.tensor([1.0, 1.0, 1.0, 0.0]).reshape(1, 1, 2, 2))) == 0.75


def test_a_sure_and_right_network_has_no_loss() -> None:
    target = torch.tensor([1.0, 0.0, 1.0, 0.0]).reshape(1, 1, 2, 2)
    assert float(dice_cross_entropy((target - 0.5) * 100, target)) == pytest.approx(0, abs=1e-6)


def test_an_unsure_network_has_the_loss_worked_out_by_hand() -> None:
    # Probabilities 0.5 everywhere, half of 4 pixels inside: cross-entropy ln 2; Dice (2 * 1 + 1) / (2 + 2 + 1) = 0.6.
    target = torch.tensor([1.0, 0.0, 1.0, 0.0]).reshape(1, 1, 2, 2)
    assert float(dice_cross_entropy(torch.zeros(1, 1, 2, 2), target)) == pytest.approx(math.log(2) + 0.4)


def test_dice_is_that_of_segmentation_models_where_there_is_foreground() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, 8, 8, generator=generator)
    target = (torch.rand(3, 1, 8, 8, generator=generator) < 0.3).float()
    other = DiceLoss("binary", smooth=0.5)  # a Tversky index, whose smoothing counts twice
    found = dice_cross_entropy(logits, target) - F.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(found, other(logits, target))
    nothing = torch.zeros_like(target)  # pixels found where there are none cost ours something, and theirs nothing
    assert dice_cross_entropy(logits, nothing) - F.binary_cross_entropy_with_logits(logits, nothing) > 0.9
    assert other(logits, nothing) == 0


def test_an_empty_mask_that_is_found_empty_has_no_loss() -> None:
    assert float(dice_cross_entropy(torch.full((1, 1, 4, 4), -50.0), torch.zeros(1, 1, 4, 4))) == pytest.approx(0)
