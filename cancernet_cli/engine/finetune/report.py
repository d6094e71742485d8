"""The report on a training: held-out predictions with their evaluation, and training curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from cancernet_cli.core.cards import Card
from cancernet_cli.core.events import Reporter
from cancernet_cli.core.options import EvaluateOptions, FinetuneOptions
from cancernet_cli.core.records import Epoch
from cancernet_cli.engine.evaluate.page import card_section
from cancernet_cli.engine.evaluate.run import evaluate_table
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.engine.finetune.figures import HeldOut, write_predictions
from cancernet_cli.outputs.plots import plot_history
from cancernet_cli.outputs.report.content import Section
from cancernet_cli.outputs.report.history import history_charts
from cancernet_cli.outputs.reports.history import HISTORY_FILE, write_history

EVALUATION = "evaluation"
MEASURES: tuple[Literal["accuracy", "loss"], ...] = ("accuracy", "loss")


def write_report(
    held: HeldOut,
    images: LabelledImages,
    history: Sequence[Epoch],
    card: Card,
    options: FinetuneOptions,
    report: Reporter,
    divisions: dict[str, Any] | None = None,
) -> None:
    """Write held-out predictions and their evaluation and, for a training by epochs, history and curves.

    Args:
        divisions: figures of all divisions into folds, as JSON; the predictions are those of the first.

    Raises:
        OutputError: a file cannot be written.
    """
    out = options.out
    table = out / ("out_of_fold.parquet" if images.splits is None else "test.parquet")
    write_predictions(held, images, card, table)
    shown = [epoch for epoch in history if not epoch.split.startswith("division_")]  # the first division's
    more = [Section("training", "Training", history_charts({"": shown}))] if shown else []
    wanted = EvaluateOptions(out=out / EVALUATION, overwrite=True, seed=0)
    evaluate_table(table, wanted, report, divisions, [*more, card_section(card)])
    if history:
        write_history(history, out / HISTORY_FILE)
        stamp = f"LEAKING SPLIT: {images.leaks[0]}" if images.leaks else ""
        runs: dict[str, list[dict[str, Any]]] = {epoch.split: [] for epoch in shown}
        for epoch in shown:
            runs[epoch.split].append(asdict(epoch))
        for measure in MEASURES:
            title = f"{card.name}: {measure} per epoch"
            plot = out / EVALUATION / "plots" / f"{measure}.png"
            plot_history(runs, plot, measure=measure, stamp=stamp, title=title)
