"""The split that a list gives: found by path, whole or refused."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.splits.given_splits import read_given


def at(folder: Path, *names: str) -> list[bytes]:
    return [os.fsencode(folder / name) for name in names]


def test_a_list_without_such_a_column_gives_none(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("path,label\na.png,benign\n")
    assert read_given([tmp_path / "l.csv"], tmp_path, at(tmp_path, "a.png"), prefer="fold") is None
    assert read_given([], tmp_path, [], prefer="fold") is None


def test_paths_are_matched_by_the_lists_folder_then_by_the_base(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "l.csv").write_text("path,fold\n../x.png,1\nsub/y.png,2\n")
    found = read_given([tmp_path / "meta" / "l.csv"], tmp_path, at(tmp_path, "sub/y.png", "x.png"), prefer="split")
    assert found is not None
    assert (found.column, found.values.tolist()) == ("fold", [2, 1])


def test_whole_numbers_may_come_as_fractions(tmp_path: Path) -> None:
    """A pandas column with gaps is one of floats."""
    pq.write_table(pa.table({"path": ["a", "b", "c"], "fold": [0.0, 3.0, None]}), tmp_path / "l.parquet")
    found = read_given([tmp_path / "l.parquet"], tmp_path, at(tmp_path, "a", "b"), prefer="fold")
    assert found is not None
    assert found.values.tolist() == [0, 3]
    with pytest.raises(InputError, match="1 of 3 images have no fold; the first: "):
        read_given([tmp_path / "l.parquet"], tmp_path, at(tmp_path, "a", "b", "c"), prefer="fold")


def test_two_lists_are_one_split(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("path,split\na,train\n")
    (tmp_path / "2.csv").write_text("path,split\nb,Test\n")
    found = read_given([tmp_path / "1.csv", tmp_path / "2.csv"], tmp_path, at(tmp_path, "a", "b"), prefer="fold")
    assert found is not None
    assert (found.column, found.values.tolist()) == ("split", ["train", "test"])


def test_a_file_with_two_values_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("path,fold\na,1\n./a,2\n")
    with pytest.raises(InputError, match=r"line 3 gives './a' the fold 2, another row 1; keep one of the two rows"):
        read_given([tmp_path / "l.csv"], tmp_path, at(tmp_path, "a"), prefer="fold")
