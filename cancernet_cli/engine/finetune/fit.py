"""One training with its progress reports and TensorBoard events."""

from __future__ import annotations

from cancernet_cli.core.events import Note, StageAdvanced, StageFinished, StageStarted
from cancernet_cli.core.records import Epoch
from cancernet_cli.engine.finetune.job import FinetuneJob
from cancernet_cli.inference.runtime import PRECISIONS
from cancernet_cli.outputs.reports.tensorboard import board
from cancernet_cli.training.checkpoints import CheckpointFile
from cancernet_cli.training.loop import fit
from cancernet_cli.training.task import Fitted, LoopPolicy, Task


def fit_with_progress(
    task: Task,
    job: FinetuneJob,
    checkpoint: CheckpointFile,
    *,
    patience: int = 0,
    stop_after: int | None = None,
    select: bool = True,
) -> Fitted:
    """`training.loop.fit` by the job's recipe, its steps reported as a stage.

    Only the first of several processes reports and writes. For `patience`, `stop_after` and `select` see `LoopPolicy`.
    """
    report, processes = job.report, job.processes
    policy = LoopPolicy(
        epochs=job.recipe.epochs,
        learning_rate=job.recipe.learning_rate,
        weight_decay=job.recipe.tuning.weight_decay,
        warm_up=job.recipe.tuning.warm_up,
        average=job.recipe.tuning.average,
        patience=patience,
        stop_after=stop_after,
        select=select,
        precision=PRECISIONS[job.runtime.precision],
    )
    stage = f"train {task.name}"
    figures: dict[str, float] = {}

    def resumed(history: list[Epoch]) -> None:
        report(Note(f"{task.name} resumes after epoch {len(history)} of {policy.epochs}"))
        report(StageAdvanced(stage, len(history) * task.steps))

    def stepped(loss: float | None) -> None:
        if loss is not None:
            figures["loss"] = round(loss, 4)
        report(StageAdvanced(stage, 1, figures=dict(figures)))

    with board(job.options.tensorboard if processes.is_first else None, task.name) as events:

        def ended(row: Epoch) -> None:
            figures["epoch"] = row.epoch
            if row.validation_loss is not None:
                figures["validation_loss"] = round(row.validation_loss, 4)
            events(row)

        report(StageStarted(stage, (policy.stop_after or policy.epochs) * task.steps, "steps"))
        fitted = fit(task, policy, checkpoint, processes, on_resume=resumed, on_step=stepped, on_epoch=ended)
    report(StageFinished(stage))
    return fitted
