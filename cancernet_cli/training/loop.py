"""The training loop: epochs of AdamW steps, stages unfrozen one after the other, averaged weights, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from cancernet_cli.core import interruption
from cancernet_cli.core.errors import Interrupted, ModelError
from cancernet_cli.core.records import Epoch
from cancernet_cli.training.average import MovingAverage, copied, put
from cancernet_cli.training.checkpoints import CheckpointFile, State, random_state, restore_random_state
from cancernet_cli.training.distributed import ALONE, Processes
from cancernet_cli.training.schedules import rate_at
from cancernet_cli.training.task import Batch, Fitted, Judgement, LoopPolicy, Task

# Steps between readings of the loss, since reading waits for the device.
LOOK_EVERY = 8


def fit(
    task: Task,
    policy: LoopPolicy,
    checkpoint: CheckpointFile | None = None,
    processes: Processes = ALONE,
    *,
    on_resume: Callable[[list[Epoch]], None] = lambda history: None,
    on_step: Callable[[float | None], None] = lambda loss: None,
    on_epoch: Callable[[Epoch], None] = lambda row: None,
) -> Fitted:
    """Train in place; the learner ends in eval mode with its best averaged weights, or the last ones without a judge.

    With a checkpoint, an interrupted training resumes and ends with the same weights as without interruption.

    Args:
        on_resume: called before the first step with the epochs that a checkpoint holds.
        on_step: called after each step, with its loss every eighth step and None otherwise, so that nothing waits.
        on_epoch: called after each epoch, once its checkpoint is on disk.

    Raises:
        ModelError: the loss is no longer finite; the last checkpoint is kept.
        Interrupted: a signal asked to stop; the same command resumes from the last finished epoch.
        OutputError: a checkpoint cannot be written, or belongs to another training.
    """
    training = _Training(task, policy, checkpoint, processes, on_step)
    training.restore()
    if training.history:
        on_resume(training.history)
    return training.run(on_epoch)


@dataclass
class _Training:
    task: Task
    policy: LoopPolicy
    checkpoint: CheckpointFile | None
    processes: Processes
    on_step: Callable[[float | None], None]

    def __post_init__(self) -> None:
        task, policy = self.task, self.policy
        self.device = next(task.network.parameters()).device
        for parameter in task.network.parameters():
            parameter.requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            [{"params": list(group.parameters)} for group in task.groups],
            lr=policy.learning_rate,
            weight_decay=policy.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )
        half = policy.precision == torch.float16 and self.device.type == "cuda"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        self.tracked = _changing(task)
        self.average = MovingAverage(self.tracked, policy.average)
        self.best: dict[str, Tensor] = {}
        self.best_epoch, self.best_loss = 0, math.inf
        self.history: list[Epoch] = []
        self.finished = False
        self.network = task.network
        self.active: list[nn.Parameter] = []

    def run(self, on_epoch: Callable[[Epoch], None]) -> Fitted:
        end = min(self.policy.epochs, self.policy.stop_after or self.policy.epochs)
        if not self.finished:
            with closing(self.task.batches(len(self.history))) as batches:
                while not self.finished:
                    self._epoch(batches)
                    self.finished = len(self.history) >= end or self._out_of_patience()
                    self._save()
                    on_epoch(self.history[-1])
        put(self.best, self.tracked)
        self.task.network.eval().requires_grad_(False)
        return Fitted(self.history, self.best_epoch)

    def _epoch(self, batches: Iterator[Batch]) -> None:
        started, done = time.monotonic(), len(self.history)
        self._thaw(done)
        figures = torch.zeros(3, device=self.device)
        for step, (inputs, target) in enumerate(islice(batches, self.task.steps), start=done * self.task.steps):
            self._stop_if_asked()
            figures += self._step(step, inputs, target)
        loss, right, norm = self._mean(figures / self.task.steps)
        self._check(loss, (done + 1) * self.task.steps)
        self._check(norm, (done + 1) * self.task.steps, "gradient")
        judged = self._judge()
        worth = loss if judged is None else judged.loss
        # If nothing is selected, the latest weights are the best.
        if judged is None or not self.policy.select or worth < self.best_loss or not self.best:
            self.best_epoch, self.best_loss = done + 1, worth
            self.best = copied(self.average.state())
        self.history.append(
            Epoch(
                split=self.task.name,
                epoch=done + 1,
                train_loss=loss,
                train_accuracy=right,
                **({} if judged is None else {f"validation_{name}": value for name, value in vars(judged).items()}),
                learning_rate=max(float(group["lr"]) for group in self.optimiser.param_groups),
                images=self.task.images,
                elapsed_s=time.monotonic() - started,
            )
        )

    def _step(self, step: int, inputs: Tensor, target: Tensor) -> Tensor:
        """Update the weights once; returns loss, accuracy and gradient norm, still on the device."""
        self._set_rates(step)
        if self.task.seed is not None:  # at each step: loaders draw from the same generator when they start
            torch.manual_seed(self.task.seed + step)
        kind, precision = self.device.type, self.policy.precision
        with torch.autocast(kind, dtype=precision, enabled=precision != torch.float32):
            output = self.network(inputs)
        loss = self.task.loss(output, target)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.active, self.policy.clip)
        if self.scaler.is_enabled():  # it skips such a step and lowers its scale
            norm = torch.nan_to_num(norm, posinf=0.0)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.average.move(step + 1)
        figure = None
        if step % LOOK_EVERY == 0:
            figure = loss.item()  # the loop's one wait on the device
            self._check(figure, step + 1)
        self.on_step(figure)
        return torch.stack([loss.detach(), self.task.right(output, target), norm])

    def _thaw(self, done: int) -> None:
        """Unfreeze the groups that start after `done` epochs."""
        active = [p for group in self.task.groups if group.start <= done for p in group.parameters]
        if len(active) == len(self.active):
            return
        for parameter in active:
            parameter.requires_grad_(True)
        self.active = active
        self.network = self.processes.wrap(self.task.network)

    def _set_rates(self, step: int) -> None:
        total = self.policy.epochs * self.task.steps
        for group, entry in zip(self.task.groups, self.optimiser.param_groups, strict=True):
            start = group.start * self.task.steps
            is_constant = self.policy.schedule == "constant"
            share = float(step >= start) if is_constant else rate_at(step, total, self.policy.warm_up, start)
            entry["lr"] = self.policy.learning_rate * group.rate * share

    def _judge(self) -> Judgement | None:
        if self.task.judge is None:
            return None
        modes = [(module, module.training) for module in self.task.network.modules()]
        self.task.network.eval()
        with self.average.applied(), torch.no_grad():
            judged = self.task.judge()
        for module, training in modes:
            module.training = training
        return judged

    def _out_of_patience(self) -> bool:
        """Epochs before the last group is unfrozen do not count: it may still lower the loss."""
        settled = max(group.start for group in self.task.groups)
        waited = len(self.history) - max(self.best_epoch, settled)
        return self.task.judge is not None and 0 < self.policy.patience <= waited

    def _mean(self, figures: Tensor) -> list[float]:
        found = self.processes.gathered(figures.tolist())
        return [sum(column) / len(found) for column in zip(*found, strict=True)]

    def _check(self, figure: float, step: int, name: str = "loss") -> None:
        if math.isfinite(figure):
            return
        kept = f"; the checkpoint of epoch {len(self.history)} is kept" if self.checkpoint and self.history else ""
        raise ModelError(
            f"the {name} became {figure} at step {step} of {self.task.name}{kept}",
            fix="use a lower --learning-rate or --precision fp32, and check the images",
        )

    def _stop_if_asked(self) -> None:
        if not self.processes.any(interruption.requested()):
            return
        name, epoch = self.task.name, len(self.history)
        done = f"{name} is kept up to epoch {epoch}" if self.checkpoint and epoch else f"nothing of {name} is kept"
        done = self.task.kept or done
        can_resume = self.checkpoint or self.task.kept
        fix = "run the same command again to resume" if can_resume else "run the same command again to start over"
        interruption.check(done, fix)
        raise Interrupted(f"another process was stopped; {done}", fix=fix, signal_number=15)

    def _save(self) -> None:
        if self.checkpoint is None or not self.processes.is_first:
            return
        state: State = {
            "finished": self.finished,
            "history": [asdict(row) for row in self.history],
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
        }
        if not self.finished:  # what resuming needs
            state |= {
                "weights": copied(self.tracked),
                "average": self.average.state(),
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
                "random": random_state(),
            }
        self.checkpoint.save(state)

    def restore(self) -> None:
        held = self.checkpoint.read() if self.checkpoint and self.processes.is_first else None
        state = self.processes.from_first(held)
        if state is None:
            return
        self.finished = state["finished"]
        self.history = [Epoch(**row) for row in state["history"]]
        self.best = {name: value.to(self.device) for name, value in state["best"].items()}
        self.best_epoch, self.best_loss = state["best_epoch"], state["best_loss"]
        if self.finished:
            return
        put(state["weights"], self.tracked)
        put(state["average"], self.average.state())
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        restore_random_state(state["random"])


def _changing(task: Task) -> dict[str, Tensor]:
    """The learner's tensors that training may change, by name: trained parameters and persistent buffers."""
    learning = {id(p) for group in task.groups for p in group.parameters}
    found: dict[str, Tensor] = {n: p for n, p in task.learner.named_parameters() if id(p) in learning}
    persistent = task.learner.state_dict().keys()
    return found | {n: buffer for n, buffer in task.learner.named_buffers() if n in persistent}
