"""Images and slides of one table, judged apart: a slide's verdict is pooled from tiles, an image's is not."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cancernet_cli.core.records import Kind
from cancernet_cli.engine.evaluate.count import Change, readable


def kinds_in(table: Path) -> list[Kind]:
    """The kinds that have a row with a prediction, images first; a table without the column holds images."""
    with readable(table), pq.ParquetFile(table) as file:
        if "kind" not in file.schema_arrow.names:
            return ["image"]
        found: set[str] = set()
        for batch in file.iter_batches(columns=["kind", "status"]):
            rows = batch.filter(pc.not_equal(batch["status"].cast(pa.string()), "failed"))
            found |= set(pc.unique(rows["kind"].cast(pa.string())).to_pylist())
    kinds: tuple[Kind, Kind] = ("image", "slide")
    return [kind for kind in kinds if kind in found]


def only(kind: Kind) -> Change:
    """What leaves the rows of one kind; a row that does not say is an image's."""

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.filter(pc.equal(pc.fill_null(batch["kind"].cast(pa.string()), "image"), kind))

    return change
