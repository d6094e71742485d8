"""Training history, one row per epoch, as a Parquet table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import atomic_write
from cancernet_cli.core.records import Epoch

HISTORY_FILE = "history.parquet"
HISTORY_SCHEMA = pa.schema(
    [
        pa.field("split", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("train_loss", pa.float64(), nullable=False),
        pa.field("train_accuracy", pa.float64()),
        pa.field("validation_loss", pa.float64()),
        pa.field("validation_accuracy", pa.float64()),
        pa.field("validation_auroc", pa.float64()),
        pa.field("validation_dice", pa.float64()),
        pa.field("learning_rate", pa.float64()),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("elapsed_s", pa.float64(), nullable=False),
    ]
)


def write_history(rows: Sequence[Epoch], path: Path) -> None:
    """Write one row per epoch, in the given order; the same bytes for the same rows.

    Raises:
        OutputError: the file cannot be written.
    """
    table = pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], schema=HISTORY_SCHEMA)
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_history(path: Path) -> list[Epoch]:
    """Read what `write_history` wrote.

    Raises:
        InputError: there is no such file, or it is not a training history.
    """
    fix = "name a history.parquet that `cancernet finetune` wrote"
    try:
        table = pq.read_table(path, columns=HISTORY_SCHEMA.names)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0]}", fix=fix) from None
    if missing := [name for name in HISTORY_SCHEMA.names if name not in table.column_names]:
        raise InputError(f"{path} has no column {missing[0]!r}", fix=fix)
    return [Epoch(**row) for row in table.to_pylist()]
