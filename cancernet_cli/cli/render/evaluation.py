"""An evaluation on the terminal: leaks, metrics, thresholds, the comparison with another table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from cancernet_cli.cli.render.figures import difference_table
from cancernet_cli.cli.render.metrics import render_metrics
from cancernet_cli.cli.render.tables import FittedTable, shortened
from cancernet_cli.core.text import one_line

_SHARES = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "f1")


def evaluation_parts(metrics: dict[str, Any]) -> Iterator[RenderableType]:
    """An evaluation, as in metrics.json, formatted for the terminal."""
    yield from _leaks(metrics["leaks"], "LEAKING SPLIT: no figure below is an estimate")
    if metrics["may_leak"]:
        yield Text(f"{metrics['may_leak']}; figures may be too high", style="bold red")
    yield render_metrics(metrics)
    if not metrics["by_slide"]["count"]:
        yield Text(f"no figures by slide: {metrics['by_slide']['reason']}", style="dim")
    if metrics["thresholds"]:
        yield from _thresholds(metrics["thresholds"], metrics["decision"]["positive"])
    if "comparison" in metrics:
        yield from _against(metrics["comparison"])


def _leaks(leaks: list[str], means: str) -> Iterator[RenderableType]:
    if leaks:
        yield Text(means, style="bold red")
        yield from (Text(f"- {one_line(leak)}", style="red") for leak in leaks)


def _thresholds(rows: list[dict[str, Any]], positive: str) -> Iterator[RenderableType]:
    """Every tenth, and the thresholds with a note."""
    yield Text(f"\nThresholds on the probability of {one_line(positive)}", style="bold")
    table = FittedTable("threshold", *(f">{name.upper() if len(name) < 4 else name}" for name in _SHARES))
    notes = list(dict.fromkeys(row["note"] for row in rows if row["note"]))
    for row in rows:
        if row["note"] or round(row["threshold"] * 100) % 10 == 0:
            values = ["-" if row[key] is None else f"{row[key]:.2f}" for key in _SHARES]
            mark = "*" * (notes.index(row["note"]) + 1) if row["note"] else ""
            table.add_row(f"{row['threshold']:.3f} {mark}", *values, style="bold" if mark else "")
    yield table
    yield from (Text(f"{'*' * i} {note}", style="dim") for i, note in enumerate(notes, start=1))


def _against(found: dict[str, Any]) -> Iterator[RenderableType]:
    """Both values, the difference with its interval, McNemar's table, and the verdict as sentences."""
    this, other = (shortened(found[key], 24).plain for key in ("this_name", "other_name"))
    yield Text(f"\n{this} against {other}", style="bold")
    yield from _leaks(found["leaks"], f"LEAKING SPLIT in {other}: the comparison means nothing")
    yield from (Text(f"warning: {one_line(words)}", style="yellow") for words in found["warnings"])
    yield Text(f"{found['images']:,} images of {found['patients']:,} known patients, labelled and predicted in both")
    yield difference_table(found["differences"], this, other)
    test = found["mcnemar"]
    table = FittedTable("images", f">{other} correct", f">{other} wrong")
    table.add_row(f"{this} correct", f"{test['both_right']:,}", f"{test['only_this_right']:,}")
    table.add_row(f"{this} wrong", f"{test['only_other_right']:,}", f"{test['both_wrong']:,}")
    yield Text()
    yield table
    yield Text()
    yield from (Text(f"- {one_line(words)}") for words in found["words"])
