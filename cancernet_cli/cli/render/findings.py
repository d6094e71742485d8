"""Show the findings of `cancernet doctor` on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cancernet_cli.core.figures import counted
from cancernet_cli.engine.doctor.findings import Finding

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "problem": ("PROBLEM", "bold red")}


def finding_parts(findings: Sequence[Finding]) -> Iterator[RenderableType]:
    """One line for each finding, what to do below it, and a last line that sums up."""
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        word, style = _MARKS[finding.state]
        table.add_row(Text(word, style=style), finding.name, Text(finding.found))
        if finding.fix:
            table.add_row("", "", Text(f"-> {finding.fix}", style="dim"))
    yield table
    problems = sum(finding.state == "problem" for finding in findings)
    yield Text(f"\n{counted(problems, 'problem')} found." if problems else "\nCancerNet can run here.", style="bold")
