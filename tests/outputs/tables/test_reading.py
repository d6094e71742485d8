"""CSV tables as spreadsheet programs save them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from cancernet_cli.outputs.tables.reading import open_table

TEXT = "path,label,prob_malignant,patient,mine\na.png,benign,0.25,007,1\nb.png,,,,2\n"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("lead", ["", "\ufeff"])
def test_any_delimiter_and_a_byte_order_mark(tmp_path: Path, mark: str, lead: str) -> None:
    (tmp_path / "t.csv").write_text(lead + TEXT.replace(",", mark), "utf-8")
    with open_table(tmp_path / "t.csv") as file:
        assert file.schema.names == ["path", "label", "prob_malignant", "patient", "mine"]
        assert file.schema.field("prob_malignant").type == pa.float32()
        assert file.schema.field("mine").type == pa.int64()
        (rows,) = file.batches(10, ["patient", "prob_malignant"])
    assert rows.to_pylist() == [
        {"patient": "007", "prob_malignant": 0.25},
        {"patient": None, "prob_malignant": None},
    ]


@pytest.mark.parametrize("content", ["", "path,label\na.png\n"])
def test_what_is_no_table_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises((ValueError, pa.ArrowException)), open_table(tmp_path / "t.csv") as file:
        list(file.batches(10))
