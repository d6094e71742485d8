"""Show an engine's events: progress bars on a terminal, lines elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cancernet_cli.cli import output
from cancernet_cli.core.events import (
    Event,
    Note,
    Reporter,
    StageAdvanced,
    StageFinished,
    StageGrew,
    StageStarted,
    Warn,
    silent,
)

LINE_EVERY_S = 10.0


@contextmanager
def reporter(format: str) -> Iterator[Reporter]:
    """The reporter for an output format: bars on a terminal, lines in a pipe or with JSON, silence when quiet."""
    if format == "quiet":
        yield silent
    elif sys.stderr.isatty() and format == "human":
        with _bars() as report:
            yield report
    else:
        yield Lines()


class Lines:
    """Print notes and warnings, and the progress of each stage every ten seconds and at its end."""

    def __init__(self) -> None:
        self._stages: dict[str, dict[str, Any]] = {}

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        match event:
            case Note(message):
                output.talk(message)
            case Warn(message):
                output.talk(f"warning: {message}")
            case StageStarted(stage, total, unit):
                self._stages[stage] = {
                    "total": total,
                    "unit": unit,
                    "start": now,
                    "last": now,
                    "done": 0,
                    "failed": 0,
                    "figures": {},
                }
            case StageAdvanced(stage, done, failed, figures):
                state = self._stages[stage]
                state["done"] += done
                state["failed"] += failed
                state["figures"] = figures
                if now - state["last"] >= LINE_EVERY_S:
                    state["last"] = now
                    self._line(stage, state, now)
            case StageGrew(stage, more):
                self._stages[stage]["total"] += more
            case StageFinished(stage):
                self._line(stage, self._stages.pop(stage), now)

    def _line(self, stage: str, state: dict[str, Any], now: float) -> None:
        elapsed_s = max(now - state["start"], 1e-9)
        rate = state["done"] / elapsed_s
        of = f"/{state['total']}" if state["total"] is not None else ""
        unit = state["unit"].removesuffix("s") if (state["total"] or state["done"]) == 1 else state["unit"]
        words = [f"{stage}: {state['done']}{of} {unit}", f"{rate:.1f}/s", f"{elapsed_s:.0f} s"]
        if state["total"] is not None and 0 < state["done"] < state["total"]:
            words.append(f"{(state['total'] - state['done']) / rate:.0f} s left")
        if state["failed"]:
            words.append(f"{state['failed']} failed")
        words += [f"{name} {value:.4g}" for name, value in state["figures"].items()]
        output.talk(", ".join(words))


@contextmanager
def _bars() -> Iterator[Reporter]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[extra]}"),
    )
    with Progress(*columns, console=output.console(stderr=True), transient=False) as progress:
        tasks: dict[str, Any] = {}
        failed: dict[str, int] = {}

        def report(event: Event) -> None:
            match event:
                case Note(message):
                    progress.console.print(message, markup=False)
                case Warn(message):
                    progress.console.print(f"warning: {message}", style="yellow", markup=False)
                case StageStarted(stage, total, _):
                    tasks[stage] = progress.add_task(stage, total=total, rate="", extra="")
                    failed[stage] = 0
                case StageAdvanced(stage, done, bad, figures):
                    failed[stage] += bad
                    task = progress.tasks[progress.task_ids.index(tasks[stage])]
                    speed = task.finished_speed or task.speed
                    extra = [f"[red]{failed[stage]} failed[/red]"] if failed[stage] else []
                    extra += [f"{name} {value:.4g}" for name, value in figures.items()]
                    rate = f"{speed:.1f}/s" if speed else ""
                    progress.update(tasks[stage], advance=done, rate=rate, extra=" ".join(extra))
                case StageGrew(stage, more):
                    task = progress.tasks[progress.task_ids.index(tasks[stage])]
                    progress.update(tasks[stage], total=(task.total or 0) + more)
                case StageFinished(stage):
                    progress.stop_task(tasks[stage])

        yield report
