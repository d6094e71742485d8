"""Show an engine's events: progress bars on a terminal, lines elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cancernet_cli.cli import output
from cancernet_cli.core import events
from cancernet_cli.core.events import Event, Reporter, silent
from cancernet_cli.core.text import one_line

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
            case events.Note(message):
                output.talk(message)
            case events.Warn(message):
                output.talk(f"warning: {message}")
            case events.StageStarted(stage, total, unit):
                self._stages[stage] = {
                    "total": total,
                    "unit": unit,
                    "start": now,
                    "last": now,
                    "done": 0,
                    "failed": 0,
                    "figures": {},
                }
            case events.StageAdvanced(stage, done, failed, figures):
                state = self._stages[stage]
                state["done"] += done
                state["failed"] += failed
                state["figures"] = figures
                if now - state["last"] >= LINE_EVERY_S:
                    state["last"] = now
                    self._line(stage, state, now)
            case events.StageGrew(stage, more):
                self._stages[stage]["total"] += more
            case events.StageFinished(stage):
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
    from rich import progress as bars

    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[rate]}"),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[extra]}"),
    )
    with bars.Progress(*columns, console=output.console(stderr=True), transient=False) as progress:
        tasks: dict[str, bars.Task] = {}

        def report(event: Event) -> None:
            match event:
                case events.Note(message):
                    progress.console.print(one_line(message), markup=False)
                case events.Warn(message):
                    progress.console.print(one_line(f"warning: {message}"), style="yellow", markup=False)
                case events.StageStarted(stage, total, _):
                    progress.add_task(one_line(stage), total=total, rate="", extra="", failed=0)
                    tasks[stage] = progress.tasks[-1]
                case events.StageAdvanced(stage, done, bad, figures):
                    task = tasks[stage]
                    failed = task.fields["failed"] + bad
                    speed = task.finished_speed or task.speed
                    extra = [f"[red]{failed} failed[/red]"] if failed else []
                    extra += [f"{name} {value:.4g}" for name, value in figures.items()]
                    rate = f"{speed:.1f}/s" if speed else ""
                    progress.update(task.id, advance=done, failed=failed, rate=rate, extra=" ".join(extra))
                case events.StageGrew(stage, more):
                    progress.update(tasks[stage].id, total=(tasks[stage].total or 0) + more)
                case events.StageFinished(stage):
                    progress.stop_task(tasks[stage].id)

        yield report
