"""Progress bars in notebooks, for the functions of the Python API: shown unless a `report` is given."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cancernet_cli.core import events
from cancernet_cli.core.events import Event, Reporter
from cancernet_cli.core.text import one_line


@functools.cache
def with_progress(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which in a notebook shows its progress; elsewhere, and with a `report`, it is called as it is."""
    signature = inspect.signature(function)
    if isinstance(function, type) or "report" not in signature.parameters:
        return function

    @functools.wraps(function)
    def shown(*args: Any, **kwargs: Any) -> Any:
        if not in_notebook() or "report" in signature.bind_partial(*args, **kwargs).arguments:
            return function(*args, **kwargs)
        with bars() as report:
            return function(*args, **kwargs, report=report)

    return shown


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


@contextmanager
def bars() -> Iterator[Reporter]:
    """A reporter that shows a tqdm bar per stage, and notes and warnings as lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ipywidgets, without which the bars are text
        from tqdm.auto import tqdm
    open_bars: dict[str, Any] = {}
    failed: dict[str, int] = {}

    def report(event: Event) -> None:
        match event:
            case events.Note(message):
                tqdm.write(one_line(message))
            case events.Warn(message):
                tqdm.write(one_line(f"warning: {message}"))
            case events.StageStarted(stage, total, unit):
                open_bars[stage] = tqdm(desc=one_line(stage), total=total, unit=f" {unit}")
            case events.StageAdvanced(stage, done, bad, figures):
                failed[stage] = failed.get(stage, 0) + bad
                shown = {name: f"{value:.4g}" for name, value in figures.items()}
                shown |= {"failed": str(failed[stage])} if failed[stage] else {}
                if shown:
                    open_bars[stage].set_postfix(shown, refresh=False)
                open_bars[stage].update(done)
            case events.StageGrew(stage, more):
                bar = open_bars[stage]
                bar.total = (bar.total or 0) + more
                bar.refresh()
            case events.StageFinished(stage):
                open_bars.pop(stage).close()

    try:
        yield report
    finally:
        for bar in open_bars.values():
            bar.close()
