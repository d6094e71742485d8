"""The order in which batches are run and committed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cancernet_cli.engine.classify.batches import NO_ANSWER, outcomes
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.outputs.tables.parts import BatchOutcome


class Echo:
    """Answers with the first pixel of a batch, and keeps a log."""

    in_flight = 2

    def __init__(self) -> None:
        self.log: list[str] = []

    def start(self, pixels: Tensor) -> Callable[[], Outputs]:
        value = int(pixels[0])
        self.log.append(f"start {value}")
        return lambda: Outputs(np.full((1, 1), value, np.float32), np.zeros(1, np.float32), None)


@dataclass(frozen=True)
class Toy:
    name: str
    pixels: Tensor | None
    log: list[str]

    def commit(self, answer: Outputs) -> BatchOutcome:
        self.log.append(f"commit {self.name}")
        if self.pixels is None:
            assert answer is NO_ANSWER
        else:
            assert answer.logits[0, 0] == int(self.pixels[0])
        return BatchOutcome(files=1)


def test_batches_are_committed_late_with_their_own_answers_and_plans_at_once() -> None:
    runner = Echo()
    batches = [Toy(str(i), torch.tensor([i]), runner.log) for i in range(4)]
    batches.insert(1, Toy("plan", None, runner.log))
    found = list(outcomes(iter(batches), runner))
    assert sum(outcome.files for outcome in found) == 5
    assert runner.log == [
        "start 0",
        "commit plan",
        "start 1",
        "start 2",
        "commit 0",
        "start 3",
        "commit 1",
        "commit 2",
        "commit 3",
    ]
