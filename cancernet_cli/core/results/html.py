"""Facts and rows as HTML, for notebooks; all text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from cancernet_cli.core.text import one_line

_MOST_TEXT = 120


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
