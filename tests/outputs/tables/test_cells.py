"""Text in cells that no spreadsheet evaluates, and that reading restores."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cancernet_cli.outputs.tables.cells import harmless, harmless_name, plain_schema, restored, restored_name

STARTS = "=+-@\t\r\n＝＋－＠"


@pytest.mark.parametrize("start", STARTS)
def test_a_cell_that_would_be_a_formula_gets_an_apostrophe(start: str) -> None:
    text = f"{start}cmd|' /C calc'!A0"
    assert harmless(pa.array([text])).to_pylist() == [f"'{text}"]
    assert harmless_name(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=b", "slide-1.png", "it's", "'quoted'", " =1", None])
def test_other_text_stays_as_it_is(text: str | None) -> None:
    assert harmless(pa.array([text], pa.string())).to_pylist() == [text]


@given(st.text(alphabet=f"'{STARTS}ab1\\", max_size=6))
def test_reading_restores_every_text(text: str) -> None:
    written = harmless(pa.array([text])).to_pylist()[0]
    assert written[:1] not in set(STARTS)
    assert restored(pa.array([written])).to_pylist() == [text]
    assert restored_name(harmless_name(text)) == text


def test_a_column_with_several_values_per_row_has_no_cells() -> None:
    with pytest.raises(TypeError, match="column parts has several values per row"):
        plain_schema(pa.schema([("parts", pa.list_(pa.int8()))]))
