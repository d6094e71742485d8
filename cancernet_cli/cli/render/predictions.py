"""First rows of a predictions table on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cancernet_cli.core.choices import UNSURE
from cancernet_cli.core.figures import show_percent
from cancernet_cli.core.text import one_line

_BAR_WIDTH = 10
_STATUS_STYLES = {"ok": "green", "partial": "yellow", "failed": "bold red"}


def render_predictions(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Path, label, probability with a bar, correctness if known, and status of rows of the predictions table."""
    shown = list(rows)
    has_truth = any(row.get("true_label") is not None for row in shown)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column("file")
    table.add_column("label", no_wrap=True, max_width=24)
    table.add_column("prob.", no_wrap=True, justify="right")
    table.add_column("", no_wrap=True, width=_BAR_WIDTH)
    if has_truth:
        table.add_column("truth", no_wrap=True, max_width=24)
    table.add_column("status", no_wrap=True)
    for row in shown:
        ok = row["status"] != "failed"
        decision: list[RenderableType] = _decision(row) if ok else [Text("-"), Text("-"), Text("")]
        truth = [_truth(row) if ok else Text("")] if has_truth else []
        status = Text(row["status"], style=_STATUS_STYLES[row["status"]])
        table.add_row(_PathEnd(one_line(row["path"])), *decision, *truth, status)
    return table


class _PathEnd:
    """A path truncated at its start if space is short, since the end distinguishes files."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = cell_len(self.path)
        return Measurement(min(width, 20), width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        path, room = self.path, options.max_width
        if cell_len(path) > room:
            while path and cell_len(path) > room - 3:
                path = path[1:]
            path = f"...{path}"
        yield Text(path, no_wrap=True, overflow="ellipsis")


def _decision(row: Mapping[str, Any]) -> list[RenderableType]:
    """Label, probability and a proportional bar; for an unsure label, those of the most probable class, named."""
    label = row["label"]
    if label == UNSURE:
        probs = {name.removeprefix("prob_"): p for name, p in row.items() if name.startswith("prob_")}
        likely = max(probs, key=lambda name: probs[name])
        percent, style, words = 100 * float(probs[likely]), "white", f"{likely} {show_percent(100 * probs[likely])}"
    else:
        percent, style = 100 * float(row[f"prob_{label}"]), "cyan"
        words = show_percent(percent)
    bar = ProgressBar(100, min(percent, 100.0), width=_BAR_WIDTH, complete_style=style, finished_style=style)
    return [Text(one_line(label), style="bold"), Text(one_line(words)), bar]


def _truth(row: Mapping[str, Any]) -> Text:
    """Whether the label is correct, and the true one if not; only that of an unsure label."""
    true = row.get("true_label")
    if true is None:
        return Text("")
    if row["label"] == UNSURE:
        return Text(one_line(true))
    return (
        Text("correct", style="green") if row["label"] == true else Text(f"wrong ({one_line(true)})", style="bold red")
    )
