"""Any table of text comes back from CSV and Parquet files alike; any bytes are a list or are refused."""

from __future__ import annotations

import csv
import tempfile
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("hypothesis", reason="part of the dev extra")
from hypothesis import given, settings
from hypothesis import strategies as st

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.discovery.tables import TextTable

SMALL = settings(max_examples=40, derandomize=True, deadline=None, database=None)
CELL = st.from_regex(r"[a-zé0-9][a-zé ,;'\"]{0,10}[a-z0-9]", fullmatch=True) | st.just("")
ROWS = st.lists(st.tuples(CELL, CELL, CELL).filter(lambda row: row[0] != ""), min_size=1, max_size=6)
WANTED = ("path", "label", "patient")


@SMALL
@given(ROWS, st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_a_list_comes_back(rows: list[tuple[str, str, str]], separator: str, end: str, mark: bool) -> None:
    expected = [{name: cell or None for name, cell in zip(WANTED, row, strict=True)} for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        text, parquet = Path(folder, "list.csv"), Path(folder, "list.parquet")
        with text.open("w", encoding="utf-8-sig" if mark else "utf-8", newline="") as file:
            csv.writer(file, delimiter=separator, lineterminator=end).writerows([WANTED, *rows])
        pq.write_table(pa.table(dict(zip(WANTED, map(list, zip(*rows, strict=True)), strict=True))), parquet)
        for file in (text, parquet):
            assert [values for _, values in TextTable(file, WANTED)] == expected


@SMALL
@given(st.binary(max_size=60), st.sampled_from(["list.csv", "list.parquet"]))
def test_any_bytes_are_a_list_or_are_refused(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, name)
        file.write_bytes(b"path,label\n" + content if name.endswith("csv") else b"PAR1" + content + b"PAR1")
        with suppress(InputError):  # and no other error
            list(TextTable(file, WANTED))


def test_a_timestamp_that_python_cannot_hold_is_refused(tmp_path: Path) -> None:
    times = pa.array([2**62], pa.timestamp("us"))
    pq.write_table(pa.table({"path": ["a.png"], "label": times}), tmp_path / "list.parquet")
    with pytest.raises(InputError, match="cannot be read"):
        list(TextTable(tmp_path / "list.parquet", WANTED))
