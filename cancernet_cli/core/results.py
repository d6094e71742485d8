"""What every command returns: its rows as a table, and a summary that notebooks show."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cancernet_cli.core.errors import CancernetError
from cancernet_cli.core.text import one_line

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_SHOWN = 10
_MOST_TEXT = 120


class Result:
    """Base of the results of commands: `table()`, `to_pandas()`, and a summary in notebooks.

    A subclass is a dataclass that provides `table`.
    """

    def table(self) -> pa.Table:
        """The rows of the result as an Arrow table."""
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """The rows of the result as a pandas DataFrame; categories stay categories.

        Raises:
            CancernetError: pandas is not installed.
        """
        try:
            import pandas  # noqa: F401
        except ImportError:
            raise CancernetError(
                "pandas is not installed", fix="run pip install pandas, or use table(), which gives an Arrow table"
            ) from None
        return self.table().to_pandas()

    def _repr_html_(self) -> str:
        """The summary that Jupyter shows: facts, and the first rows."""
        parts = [f"<h4>{escape(type(self).__name__)}</h4>", facts_html(self._facts())]
        try:
            table = self.table()
        except Exception:  # its files may have been moved since; a summary must not fail
            return "".join(parts)
        return "".join([*parts, rows_html(table.slice(0, ROWS_SHOWN).to_pylist(), table.num_rows)])

    def _facts(self) -> Mapping[str, Any]:
        """Facts for the summary, by name: by default the fields that fit on a line."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # a subclass is a dataclass
        found = {field.name: getattr(self, field.name) for field in fields}
        return {
            name: value
            for name, value in found.items()
            if isinstance(value, (str, int, float, Path)) or _is_flat(value)
        }


def read_table(path: Path) -> pa.Table:
    """A Parquet table, with its metadata."""
    import pyarrow.parquet as pq

    return pq.read_table(path)


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows, given as values by column, as an Arrow table; a column is in it if any row has it."""
    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: [row.get(name) for row in rows] for name in names})


def figure_rows(found: Mapping[str, Any], group: str = "") -> Iterator[dict[str, Any]]:
    """Each figure of a `metrics.json`, or of a part of it, as a row, with its group, such as `by_magnification/40`."""
    for name, value in found.items():
        if not isinstance(value, Mapping):
            continue
        if "value" in value and "count" in value:
            row = {"group": group or "all", "figure": name}
            yield row | {part: value.get(part) for part in ("value", "low", "high", "count", "reason")}
        else:
            yield from figure_rows(value, f"{group}/{name}" if group else name)


def facts_html(facts: Mapping[str, Any]) -> str:
    """Facts by name as an HTML table; text is escaped."""
    rows = (
        f"<tr><th style='text-align:left'>{_cell(name.replace('_', ' '))}</th>{_td(value)}</tr>"
        for name, value in facts.items()
    )
    return f"<table>{''.join(rows)}</table>"


def rows_html(rows: Sequence[Mapping[str, Any]], total: int) -> str:
    """The first rows of a table as HTML, and how many there are in all; columns that are empty in all are omitted."""
    names = [name for name in (rows[0] if rows else ()) if any(row[name] not in (None, "") for row in rows)]
    head = "".join(f"<th>{_cell(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(_td(row[name]) for name in names)}</tr>" for row in rows)
    more = f"<p>{len(rows):,} of {total:,} rows</p>" if total > len(rows) else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _td(value: Any) -> str:
    align = "right" if isinstance(value, (int, float)) and not isinstance(value, bool) else "left"
    return f"<td style='text-align:{align}'>{_cell(value)}</td>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{_cell(name)} {_cell(one)}" for name, one in value.items())
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return ", ".join(map(_cell, value))
    text = one_line(str(value))
    return escape(text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…")


def _is_flat(value: Any) -> bool:
    """Whether a value is a few plain ones by name, such as counts by label."""
    return (
        isinstance(value, Mapping)
        and 0 < len(value) <= 20
        and all(isinstance(one, (str, int, float, Path)) for one in value.values())
    )
