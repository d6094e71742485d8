"""The table of patients and physical slides: its columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.outputs.tables.predictions import ROW_GROUP_ROWS, metadata_entries

_WORDS = pa.dictionary(pa.int32(), pa.string())


def patients_file(out: Path) -> Path:
    """Path of the patients of a predictions table."""
    return out.with_name(f"{out.stem}.patients.parquet")


def patient_schema(classes: Sequence[str], metadata: Mapping[str, str]) -> pa.Schema:
    """Columns of the table, in order; `metadata` as in the main table."""
    columns = [
        ("unit", _WORDS),
        ("patient", pa.string()),
        ("slide", pa.string()),
        ("kind", _WORDS),
        ("status", _WORDS),
        ("label", _WORDS),
        ("flags", _WORDS),
        *((f"prob_{name}", pa.float32()) for name in classes),
        ("decision_threshold", pa.float32()),
        ("true_label", _WORDS),
        ("seen_in_training", pa.bool_()),
        ("files", pa.int64()),
        ("ok", pa.int64()),
        ("failed", pa.int64()),
        ("unsure", pa.int64()),
        ("model", _WORDS),
    ]
    return pa.schema(columns, metadata=metadata_entries(metadata))


def write_patient_table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema, to: Path) -> None:
    """Write rows, given as values by column, in their order.

    Raises:
        OSError: it cannot be written.
    """
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    pq.write_table(table, to, compression="zstd", row_group_size=ROW_GROUP_ROWS)
