"""Features on disk survive a kill, and never mix with others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.records import Failure
from cancernet_cli.engine.finetune.frozen.feature_store import FeatureStore

KEY = {"weights": "abc", "levels": (1, 2)}


def row(value: float) -> np.ndarray:
    return np.full((2, 3), value, np.float32)


def store(folder: Path, key: dict[str, Any] = KEY, count: int = 4) -> FeatureStore:
    return FeatureStore(folder, key, count)


def test_gives_the_rows_that_were_added_and_leaves_out_failures(tmp_path: Path) -> None:
    mine = store(tmp_path)
    assert mine.add([row(1), Failure("decode", "BadFile", "cut off")]) == {1: "decode: BadFile: cut off"}
    assert mine.add([row(2), row(3)]) == {}
    found = mine.features()
    np.testing.assert_array_equal(found.values[:, 0, 0], [1, 2, 3])
    np.testing.assert_array_equal(found.rows, [0, 2, 3])
    assert found.values.dtype == np.float32


def test_goes_on_where_the_last_commit_was(tmp_path: Path) -> None:
    first = store(tmp_path)
    first.add([row(1), Failure("read", "OSError", "gone")])
    first.commit()
    first.add([row(9)])  # killed before the next commit
    again = store(tmp_path)
    assert again.seen == 2
    again.add([row(2), row(3)])
    found = again.features()
    np.testing.assert_array_equal(found.values[:, 1, 2], [1, 2, 3])
    np.testing.assert_array_equal(found.rows, [0, 2, 3])
    assert found.elapsed_s >= 0


@pytest.mark.parametrize("key", [KEY | {"weights": "abd"}, {"weights": "abc"}])
def test_what_was_made_otherwise_is_thrown_away(tmp_path: Path, key: dict[str, Any]) -> None:
    first = store(tmp_path)
    first.add([row(1)])
    first.commit()
    other = store(tmp_path, key)
    assert other.seen == 0
    other.add([row(5)])
    np.testing.assert_array_equal(other.features().values[:, 0, 0], [5])


def test_numbers_that_are_not_finite_are_a_failure(tmp_path: Path) -> None:
    halves = FeatureStore(tmp_path, KEY, 3, np.float16)
    failed = halves.add([row(1), row(1e6), row(2)])  # half precision ends at 65,504
    assert list(failed) == [1]
    assert "not finite" in failed[1]
    np.testing.assert_array_equal(halves.features().values[:, 0, 0], [1, 2])


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"--out"):
        store(tmp_path / "file" / "below").add([row(1)])


def test_once_removed_nothing_is_left(tmp_path: Path) -> None:
    mine = store(tmp_path / "work")
    mine.add([row(1)])
    mine.commit()
    mine.remove()
    assert not (tmp_path / "work").exists()
