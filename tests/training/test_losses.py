"""The segmentation loss on hand-made cases."""

from __future__ import annotations

import math

import pytest
import torch

from cancernet_cli.training.losses import dice_cross_entropy


def test_a_sure_and_right_network_has_no_loss() -> None:
    target = torch.tensor([1.0, 0.0, 1.0, 0.0]).reshape(1, 1, 2, 2)
    assert float(dice_cross_entropy((target - 0.5) * 100, target)) == pytest.approx(0, abs=1e-6)


def test_an_unsure_network_has_the_loss_worked_out_by_hand() -> None:
    # Probabilities 0.5 everywhere, half of 4 pixels inside: cross-entropy ln 2; Dice (2 * 1 + 1) / (2 + 2 + 1) = 0.6.
    target = torch.tensor([1.0, 0.0, 1.0, 0.0]).reshape(1, 1, 2, 2)
    assert float(dice_cross_entropy(torch.zeros(1, 1, 2, 2), target)) == pytest.approx(math.log(2) + 0.4)


def test_an_empty_mask_that_is_found_empty_has_no_loss() -> None:
    assert float(dice_cross_entropy(torch.full((1, 1, 4, 4), -50.0), torch.zeros(1, 1, 4, 4))) == pytest.approx(0)
