"""Tables that another program wrote again: evaluated where their content is clear, else refused with one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.engine.evaluate.run import evaluate
from tests.prediction_tables import OURS, write_predictions

Figures = dict[str, Any]


def figures(table: Path, **options: Any) -> Figures:
    found = evaluate(table, plots=False, resamples=100, overwrite=True, **options).metrics
    return {name: found[name] for name in ("images", "by_magnification", "by_slide", "by_patient", "failed")}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Figures]:
    table = write_predictions(tmp_path_factory.mktemp("ours") / "t.parquet", metadata={**OURS, "positive": "malignant"})
    return table, figures(table, positive="malignant", threshold=0.4)


def again(table: Path, out: Path, **changes: Callable[[pa.ChunkedArray], Any] | None) -> Path:
    """The table without metadata; `changes` replace columns, or leave them out."""
    found = pq.read_table(table)
    columns = {name: found[name] for name in found.column_names}
    for name, change in changes.items():
        if change is None:
            del columns[name]
        else:
            columns[name] = change(columns[name])
    pq.write_table(pa.table(columns), out, row_group_size=17)
    return out


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string())


def is_malignant(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.equal(plain(column), "malignant")


def untidy(column: pa.ChunkedArray) -> pa.Array:
    """A category with a word that occurs twice, and one that does not occur."""
    words = ["malignant", "benign", "malignant", "other"]
    names = column.to_pylist()
    places = [(2 if i % 2 else 0) if name == "malignant" else 1 for i, name in enumerate(names)]
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int8()), pa.array(words))


SAME = {
    "nothing": {},
    "polars": {name: lambda c: plain(c).cast(pa.large_string()) for name in ("status", "label", "true_label", "slide")},
    "views": {"true_label": lambda c: plain(c).cast(pa.string_view())},
    "pandas": {"true_label": untidy, "prob_benign": lambda c: c.cast(pa.float64())},
    "small_categories": {"patient": lambda c: pa.array(plain(c).to_pylist()).dictionary_encode().cast(
        pa.dictionary(pa.int8(), pa.large_string()))},
    "booleans": {"true_label": is_malignant},
    "integers": {"true_label": lambda c: is_malignant(c).cast(pa.int8())},
    "float_labels": {"true_label": lambda c: is_malignant(c).cast(pa.int8()).cast(pa.float64())},
    "no_status_and_label": {"status": None, "label": None, "error": None},
    "decimals": {"magnification": lambda c: c.cast(pa.int32()).cast(pa.decimal128(12, 2))},
}  # fmt: skip


@pytest.mark.parametrize("how", SAME)
def test_the_same_content_has_the_same_figures(how: str, ours: tuple[Path, Figures], tmp_path: Path) -> None:
    table = again(ours[0], tmp_path / "t.parquet", **SAME[how])
    with pytest.raises(InputError, match=r"it has no CancerNet metadata; .* pass --positive \(benign or malignant\)"):
        evaluate(table)
    assert figures(table, positive="malignant", threshold=0.4) == ours[1]


def test_patients_as_numbers_are_told_apart(ours: tuple[Path, Figures], tmp_path: Path) -> None:
    def numbers(column: pa.ChunkedArray) -> pa.Array:
        return pa.array([float(name[1:]) for name in column.to_pylist()])

    table = again(ours[0], tmp_path / "t.parquet", patient=numbers)
    found = figures(table, positive="malignant", threshold=0.4)
    assert found["images"] == ours[1]["images"]
    assert sorted(one["patient"] for one in found["by_patient"]["patients"])[:2] == ["0", "1"]


def test_what_lost_metadata_leaves_unknown_is_said(ours: tuple[Path, Figures], tmp_path: Path) -> None:
    table = again(ours[0], tmp_path / "t.parquet")
    warnings = evaluate(table, plots=False, positive="malignant", threshold=0.4).metrics["warnings"]
    assert any("has lost its CancerNet metadata, so whether its split leaks" in text for text in warnings)


def repeat(value: Any, kind: pa.DataType | None = None) -> Callable[[pa.ChunkedArray], pa.Array]:
    return lambda column: pa.array([value] * len(column), kind)


ODD = {
    "list": ("prob_benign", repeat([0.5]), "has type list<element: double>, not numbers"),
    "text": ("prob_benign", repeat("0.5"), "has type string, not numbers"),
    "struct": ("true_label", repeat({"a": 1}), "has type struct<a: int64>, not text"),
    "time": ("true_label", repeat(10**18, pa.timestamp("us")), "has type timestamp[us], not text"),
    "time_of_patient": ("patient", repeat(10**18, pa.timestamp("us")), "has type timestamp[us], not text"),
    "bytes": ("patient", repeat(b"\xff"), "has type binary, not text"),
    "many_integers": ("true_label", lambda c: pa.array(range(len(c))), "has type int64, not text"),
    "halves": ("patient", repeat(0.5), "has type double, not text"),
    "magnification": ("magnification", repeat("40x"), "has type string, not numbers"),
    "seen": ("seen_in_training", None, "has type string, not true or false"),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_column_is_refused(odd: str, ours: tuple[Path, Figures], tmp_path: Path) -> None:
    name, change, message = ODD[odd]
    table = pq.read_table(ours[0])
    column = change(table["status"]) if change else pa.array(["yes"] * len(table))
    table = table.drop_columns(name) if name in table.column_names else table
    pq.write_table(table.append_column(name, column), tmp_path / "t.parquet")
    with pytest.raises(InputError) as caught:
        evaluate(tmp_path / "t.parquet", plots=False)
    assert caught.value.message == f"column {name} of {tmp_path / 't.parquet'} {message}"
    assert caught.value.exit_code == 3


def test_a_column_that_occurs_twice_is_refused(ours: tuple[Path, Figures], tmp_path: Path) -> None:
    table = pq.read_table(ours[0])
    pq.write_table(table.append_column("true_label", table["true_label"]), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="has two columns true_label; remove one of them"):
        evaluate(tmp_path / "t.parquet", plots=False)


@pytest.mark.parametrize("value", [np.nan, np.inf, None])
def test_probabilities_that_are_no_numbers_are_left_out(
    value: float | None, ours: tuple[Path, Figures], tmp_path: Path
) -> None:
    def spoilt(column: pa.ChunkedArray) -> pa.Array:
        return pa.array([value, *column.to_pylist()[1:]], pa.float32())

    table = again(ours[0], tmp_path / "t.parquet", prob_malignant=spoilt)
    found = evaluate(table, plots=False, positive="malignant", threshold=0.4).metrics
    assert (found["images"]["count"], found["unusable"]) == (79, 1)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1PAR1", b"path,label\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_file_that_is_no_table_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a table"):
        evaluate(tmp_path / "t.parquet")


def test_empty_tables_and_strange_metadata_are_refused(ours: tuple[Path, Figures], tmp_path: Path) -> None:
    table = pq.read_table(ours[0])
    pq.write_table(table.slice(0, 0), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="has no labels"):
        evaluate(tmp_path / "t.parquet")
    pq.write_table(pa.table({}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="it has no CancerNet metadata"):
        evaluate(tmp_path / "t.parquet")
    pq.write_table(
        table.replace_schema_metadata({b"cancernet.schema": b"\xff", b"cancernet.\xfe": b"1"}), tmp_path / "t.parquet"
    )
    assert evaluate(tmp_path / "t.parquet", plots=False).metrics["images"]["count"] == 80


def test_slides_whose_images_all_have_several_labels_have_no_figures(tmp_path: Path) -> None:
    table = write_predictions(tmp_path / "t.parquet", metadata=OURS, slide=["one"] * 80, patient=["p"] * 80)
    found = evaluate(table, plots=False)
    assert found.metrics["by_slide"]["reason"] == "the images of every slide have several labels"
    assert "No figures by slide: the images of every slide have several labels." in found.report_file.read_text()


def test_a_table_that_lost_its_labels_alone_says_so_and_can_be_decided_on_again(tmp_path: Path) -> None:
    whole = write_predictions(tmp_path / "t.parquet", metadata={**OURS, "positive": "malignant"})
    rows = pq.read_table(whole)
    pq.write_table(rows.drop_columns("label"), tmp_path / "without.parquet")  # its metadata and its status stay
    with pytest.raises(
        InputError, match=r"without\.parquet has no column label, so nothing is decided on; pass --thre"
    ):
        figures(tmp_path / "without.parquet")
    found = figures(tmp_path / "without.parquet", threshold=0.4)
    assert found["images"] == figures(whole, threshold=0.4)["images"]
