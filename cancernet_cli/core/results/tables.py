"""Results as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


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
