"""Tables for a terminal of any width: numbers are never cut off; columns that do not fit are omitted with a note."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from cancernet_cli.core.text import one_line

_PROSE = 40  # a cell longer than this is text, which is folded


class FittedTable:
    """A table that drops whole columns from the right, and names them below, if the terminal is too narrow.

    headers: `>` in front aligns a column right. keep: how many columns on the left are never dropped.
    """

    def __init__(self, *headers: str, keep: int = 1, padding: int = 1) -> None:
        self._headers, self._keep, self._padding = headers, keep, padding
        self._rows: list[tuple[Sequence[Text | str], str]] = []

    def add_row(self, *cells: Text | str, style: str = "") -> None:
        self._rows.append((cells, style))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self._width(self._keep), self._width(len(self._headers)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = len(self._headers)
        while columns > self._keep and self._width(columns) > options.max_width:
            columns -= 1
        yield self._table(columns, fits=self._width(columns) <= options.max_width)
        dropped = [header.removeprefix(">").replace("\n", " ") for header in self._headers[columns:]]
        if dropped:
            yield Text(f"(too narrow for {', '.join(dropped)})", style="dim")

    def _width(self, columns: int) -> int:
        return sum(self._column_width(i) + self._padding + 1 for i in range(columns)) - self._padding - 1

    def _column_width(self, column: int) -> int:
        widths = [cell_len(str(cells[column])) for cells, _ in self._rows if column < len(cells)]
        numbers = [width for width in widths if width <= _PROSE]
        return max(*(cell_len(line) for line in self._headers[column].removeprefix(">").split("\n")), *numbers, 1)

    def _has_prose(self, column: int) -> bool:
        return any(cell_len(str(cells[column])) > _PROSE for cells, _ in self._rows if column < len(cells))

    def _table(self, columns: int, *, fits: bool) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, self._padding, 0, 0))
        for i, header in enumerate(self._headers[:columns]):
            table.add_column(
                Text(header.removeprefix(">")),
                justify="right" if header.startswith(">") else "left",
                overflow="fold",
                no_wrap=fits and not self._has_prose(i),
            )
        for cells, style in self._rows:
            table.add_row(*cells[:columns], style=style)
        return table


class SideBySide:
    """Two renderables next to each other, or one below the other where the terminal is too narrow."""

    def __init__(self, left: RenderableType, right: RenderableType) -> None:
        self._left, self._right = left, right

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        free = options.update(max_width=10_000)
        widths = [Measurement.get(console, free, one).maximum for one in (self._left, self._right)]
        if sum(widths) + 2 > options.max_width:
            yield from (self._left, Text(), self._right)
            return
        grid = Table.grid(padding=(0, 2))
        grid.add_row(self._left, self._right)
        yield grid


def shortened(name: str, most: int = 16) -> Text:
    """A name on one line, shortened to at most `most` characters."""
    name = one_line(name)
    return Text(name if len(name) <= most else name[: most - 3] + "...", no_wrap=True)
