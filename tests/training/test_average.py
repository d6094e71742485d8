"""The moving average against its recurrence, and put in place and back."""

from __future__ import annotations

import pytest
import torch

from cancernet_cli.training.average import MovingAverage


def test_follows_its_recurrence() -> None:
    weight, steps = torch.tensor([0.0]), torch.tensor(0)
    average = MovingAverage({"weight": weight, "steps": steps}, keep=0.5)
    expected = 0.0
    for step in range(1, 30):
        weight.fill_(step)
        steps.fill_(step)
        average.move(step)
        keep = min(0.5, step / (step + 10))
        expected = keep * expected + (1 - keep) * step
    assert average.state()["weight"].item() == pytest.approx(expected)
    assert average.state()["steps"].item() == 29


def test_is_in_place_inside_the_block_only() -> None:
    weight = torch.tensor([1.0])
    average = MovingAverage({"weight": weight}, keep=0.5)
    weight.fill_(5.0)
    with average.applied():
        assert weight.item() == 1.0
    assert weight.item() == 5.0
    assert average.state()["weight"].item() == 1.0
