"""The training loop on a problem it must solve."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from cancernet_cli.core.errors import ModelError
from cancernet_cli.training.loop import LoopPolicy, fit, rate_at


def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine() -> None:
    rates = [rate_at(step, 100, 0.1) for step in range(101)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_learns_a_line_and_ends_in_eval_mode() -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 1)
    inputs = torch.randn(64, 3)
    target = inputs @ torch.tensor([[1.0], [-2.0], [0.5]])
    losses: list[float] = []
    policy = LoopPolicy(learning_rate=0.05, weight_decay=0.0)
    fit(network, itertools.repeat((inputs, target)), 300, nn.functional.mse_loss, policy, lambda _, x: losses.append(x))
    assert len(losses) == 300
    assert float(nn.functional.mse_loss(network(inputs), target)) < 1e-2
    assert not network.training


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    with pytest.raises(ModelError, match="the loss became nan at step 1"):
        fit(nn.Linear(1, 1), [(torch.tensor([[float("nan")]]), torch.zeros(1, 1))], 1, nn.functional.mse_loss)
