"""Tables on terminals that are too narrow for them."""

from __future__ import annotations

import pytest
from rich.console import Console, RenderableType

from cancernet_cli.cli.render.tables import FittedTable, SideBySide


def text_of(renderable: RenderableType, width: int) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def text_table() -> FittedTable:
    table = FittedTable("name", ">value", ">n", "note", keep=2)
    table.add_row("AUROC", "0.82 (0.61-0.93)", "240", "x" * 60)
    return table


@pytest.mark.parametrize("width", [60, 40])
def test_text_is_folded(width: int) -> None:
    shown = text_of(text_table(), width)
    assert shown.count("x") == 60
    assert "0.82 (0.61-0.93)" in shown
    assert "too narrow" not in shown


def test_whole_columns_are_dropped_from_the_right() -> None:
    shown = text_of(text_table(), 27)
    assert "0.82 (0.61-0.93)" in shown
    assert "240" not in shown
    assert "(too narrow for n, note)" in shown


def test_what_is_never_dropped_is_folded() -> None:
    shown = text_of(text_table(), 15)
    assert "".join(line[6:].strip() for line in shown.splitlines()[2:5]) == "0.82(0.61-0.93)"


def test_side_by_side_only_where_both_fit() -> None:
    left, right = FittedTable("left"), FittedTable("right")
    left.add_row("a" * 20)
    right.add_row("b" * 20)
    lines = {width: text_of(SideBySide(left, right), width).splitlines() for width in (50, 40)}
    assert sum("a" in line and "b" in line for line in lines[50]) == 1
    assert not any("a" in line and "b" in line for line in lines[40])
    assert sum(line.count("b") for line in lines[40]) == 20
