"""The training loop on problems it must solve, stopped and gone on with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.records import Epoch
from cancernet_cli.training.checkpoints import CheckpointFile
from cancernet_cli.training.loop import fit
from cancernet_cli.training.task import Group, Judgement, LoopPolicy, Task


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for one another would take most of the time of so small a network."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


WEIGHTS = torch.tensor([[1.0], [-2.0], [0.5]])
POLICY = LoopPolicy(epochs=6, learning_rate=0.05, weight_decay=0.0)


def small_network() -> nn.Sequential:
    """Two layers with batch normalisation and dropout, so that buffers and random numbers matter too."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 1)).train()


def line(first_epoch: int) -> Generator[tuple[Tensor, Tensor]]:
    """Four batches an epoch, each a function of its epoch and place."""
    for epoch in itertools.count(first_epoch):
        for step in range(4):
            inputs = torch.randn(16, 3, generator=torch.Generator().manual_seed(100 * epoch + step))
            yield inputs, inputs @ WEIGHTS


def task_of(network: nn.Module, **changed: Any) -> Task:
    whole = Task(
        name="final",
        network=network,
        learner=network,
        groups=[Group(tuple(network.parameters()))],
        batches=line,
        steps=4,
        images=64,
        loss=nn.functional.mse_loss,
        right=lambda output, target: torch.zeros(()),
    )
    return replace(whole, **changed)


def checkpoint_at(path: Path, key: str = "key") -> CheckpointFile:
    return CheckpointFile(path, key)


def state_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Stop(Exception):
    """A kill, as far as the loop can tell."""


def stop_after(epoch: int) -> Callable[[Epoch], None]:
    def on_epoch(row: Epoch) -> None:
        if row.epoch == epoch:
            raise Stop

    return on_epoch


def test_learns_a_line_and_ends_in_eval_mode() -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 1)
    losses: list[float | None] = []
    fitted = fit(task_of(network), replace(POLICY, epochs=40), on_step=losses.append)
    inputs = torch.randn(64, 3)
    assert float(nn.functional.mse_loss(network(inputs), inputs @ WEIGHTS)) < 1e-2
    assert len(losses) == 160
    assert sum(loss is not None for loss in losses) == 20  # one step in eight waits for its figure
    assert [row.epoch for row in fitted.history] == list(range(1, 41))
    assert fitted.best_epoch == 40
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_checkpoint(tmp_path: Path) -> None:
    def poisoned(first_epoch: int) -> Generator[tuple[Tensor, Tensor]]:
        for at, (inputs, target) in enumerate(line(first_epoch)):
            yield inputs, target * float("nan") if at >= 9 else target

    with pytest.raises(ModelError, match=r"the loss became nan at step 12 of final; the checkpoint of epoch 2 is kept"):
        fit(task_of(small_network(), batches=poisoned), POLICY, checkpoint=checkpoint_at(tmp_path / "c.pt"))
    held = checkpoint_at(tmp_path / "c.pt").read()
    assert held is not None
    assert len(held["history"]) == 2
    assert all(torch.isfinite(value).all() for value in held["weights"].values())


def test_a_gradient_that_is_no_number_never_reaches_a_checkpoint(tmp_path: Path) -> None:
    steps = iter(range(100))

    def steep(output: Tensor, target: Tensor) -> Tensor:
        root = (output * 0 if next(steps) == 7 else output.square() + 1).sqrt()  # finite, its slope at 0 is not
        return nn.functional.mse_loss(root, target)

    with pytest.raises(
        ModelError, match=r"the gradient became nan at step 8 of final; the checkpoint of epoch 1 is kept"
    ):
        fit(task_of(small_network(), loss=steep), POLICY, checkpoint=checkpoint_at(tmp_path / "c.pt"))
    held = checkpoint_at(tmp_path / "c.pt").read()
    assert held is not None
    assert all(torch.isfinite(value).all() for value in held["weights"].values())


@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_stopped_after_an_epoch_it_goes_on_to_the_same_weights(tmp_path: Path, epoch: int) -> None:
    undisturbed = small_network()
    torch.manual_seed(1)
    expected = fit(task_of(undisturbed), POLICY)
    checkpoint, killed, resumed, held = checkpoint_at(tmp_path / "c.pt"), small_network(), small_network(), []
    torch.manual_seed(1)
    with pytest.raises(Stop):
        fit(task_of(killed), POLICY, checkpoint=checkpoint, on_epoch=stop_after(epoch))
    torch.manual_seed(99)
    found = fit(task_of(resumed), POLICY, checkpoint=checkpoint, on_resume=held.extend)
    assert len(held) == epoch
    assert same(state_of(resumed), state_of(undisturbed))
    assert [row.train_loss for row in found.history] == [row.train_loss for row in expected.history]


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first, again = small_network(), small_network()
    checkpoint = checkpoint_at(tmp_path / "c.pt")
    done = fit(task_of(first), POLICY, checkpoint=checkpoint)

    def never(first_epoch: int) -> Generator[tuple[Tensor, Tensor]]:
        raise AssertionError("it trained")
        yield

    assert fit(task_of(again, batches=never), POLICY, checkpoint=checkpoint) == done
    assert same(state_of(first), state_of(again))


def judged_by(losses: list[float]) -> Callable[[], Judgement]:
    waiting = iter(losses)
    return lambda: Judgement(next(waiting))


def test_patience_ends_it_and_the_best_averaged_weights_are_kept() -> None:
    network, seen = small_network(), []
    judge = judged_by([3.0, 1.0, 2.0, 2.0, 2.0, 0.0])

    def judge_and_look() -> Judgement:
        assert not network.training
        seen.append(state_of(network))
        return judge()

    fitted = fit(task_of(network, judge=judge_and_look), replace(POLICY, patience=3))
    assert len(fitted.history) == 5
    assert fitted.best_epoch == 2
    assert same(state_of(network), seen[1])
    assert [row.validation_loss for row in fitted.history] == [3.0, 1.0, 2.0, 2.0, 2.0]


def test_patience_waits_until_every_part_learns() -> None:
    network = small_network()
    groups = [Group(tuple(network[3].parameters())), Group(tuple(network[0].parameters()), rate=0.5, start=3)]
    fitted = fit(
        task_of(network, groups=groups, judge=judged_by([1.0, 2.0, 2.0, 2.0, 2.0, 2.0])), replace(POLICY, patience=2)
    )
    assert len(fitted.history) == 5
    assert fitted.best_epoch == 1


def test_a_part_stands_still_until_it_thaws() -> None:
    network = small_network()
    before = state_of(network)
    groups = [Group(tuple(network[3].parameters())), Group(tuple(network[0].parameters()), start=2)]
    fit(task_of(network, groups=groups), replace(POLICY, stop_after=2))
    assert torch.equal(network[0].weight, before["0.weight"])
    assert not torch.equal(network[3].weight, before["3.weight"])
    fit(task_of(network.train(), groups=groups), replace(POLICY, stop_after=3))
    assert not torch.equal(network[0].weight, before["0.weight"])


def test_stopping_early_on_a_schedule_gives_what_the_schedule_had_then(tmp_path: Path) -> None:
    network = small_network()
    seen: list[dict[str, Tensor]] = []

    def look() -> Judgement:
        seen.append(state_of(network))
        return Judgement(float(-len(seen)))

    fit(task_of(network, judge=look), POLICY)
    shorter = small_network()
    torch.manual_seed(0)
    small_network()  # the same draws of dropout as above
    assert fit(task_of(shorter), replace(POLICY, stop_after=4)).best_epoch == 4
    assert same(state_of(shorter), seen[3])
