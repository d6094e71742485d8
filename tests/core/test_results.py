"""Results as tables, data frames and notebook summaries."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cancernet_cli.core.errors import CancernetError
from cancernet_cli.core.results import Result, figure_rows, table_of

EVIL = "<script>alert(1)</script>"


@dataclass(frozen=True)
class Found(Result):
    out: Path
    files: int
    counts: dict[str, int] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def table(self) -> pa.Table:
        return table_of(self.rows)


def test_a_notebook_shows_facts_and_rows_and_escapes_text() -> None:
    rows = [{"path": f"{n}.png", "label": EVIL, "error": "", "p": 0.123456} for n in range(12)]
    page = Found(Path(f"a{EVIL}"), 1234, {EVIL: 3}, rows)._repr_html_()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 2 + 10
    assert "1,234" in page
    assert "0.1235" in page
    assert "10 of 12 rows" in page
    assert ">error<" not in page  # empty in every row


def test_a_summary_does_not_need_the_files() -> None:
    class Gone(Found):
        def table(self) -> pa.Table:
            raise FileNotFoundError

    assert "p.parquet" in Gone(Path("p.parquet"), 1)._repr_html_()


def test_columns_that_some_rows_do_not_have_are_null_there() -> None:
    assert table_of([{"a": 1}, {"a": 2, "b": "x"}]).to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    assert table_of([]).num_rows == 0


def test_figures_become_rows() -> None:
    metrics = {
        "schema": 1,
        "images": {"count": 3, "auroc": {"value": 0.5, "count": 3, "low": 0.1, "high": 0.9}},
        "by_magnification": {"40": {"auroc": {"value": None, "count": 1, "reason": "one class"}}},
    }
    assert list(figure_rows(metrics)) == [
        {"group": "images", "figure": "auroc", "value": 0.5, "low": 0.1, "high": 0.9, "count": 3, "reason": None},
        {
            "group": "by_magnification/40",
            "figure": "auroc",
            "value": None,
            "low": None,
            "high": None,
            "count": 1,
            "reason": "one class",
        },
    ]


def test_a_data_frame_if_pandas_is_installed() -> None:
    pytest.importorskip("pandas")
    assert Found(Path(), 1, rows=[{"a": 1}]).to_pandas().to_dict("list") == {"a": [1]}


def test_without_pandas_the_error_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CancernetError, match=r"pandas is not installed; run pip install pandas, or use table\(\)"):
        Found(Path(), 1).to_pandas()
