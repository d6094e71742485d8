"""Features on disk survive a kill, and never mix with others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.records import Failure
from cancernet_cli.data.splits.duplicates import fingerprint
from cancernet_cli.engine.finetune.frozen.feature_store import FeatureStore
from tests.he_images import he_like

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


def test_resumes_from_the_last_commit(tmp_path: Path) -> None:
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
def test_features_of_another_key_are_discarded(tmp_path: Path, key: dict[str, Any]) -> None:
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


def test_fingerprints_survive_a_kill_and_mark_files_without_one(tmp_path: Path) -> None:
    one, two = (fingerprint(he_like(seed)) for seed in (1, 2))
    first = FeatureStore(tmp_path, KEY, 3, with_fingerprints=True)
    first.add([row(1), Failure("read", "OSError", "gone")], [one, None])
    first.commit()
    again = FeatureStore(tmp_path, KEY, 3, with_fingerprints=True)
    assert again.seen == 2
    again.add([row(2)], [two])
    found = again.features()
    assert [print_ and print_.digest for print_ in found.fingerprints] == [one.digest, None, two.digest]
    np.testing.assert_array_equal(found.fingerprints[2].hashes, two.hashes)  # type: ignore[union-attr]
    np.testing.assert_array_equal(found.fingerprints[2].look, two.look)  # type: ignore[union-attr]
    assert FeatureStore(tmp_path, KEY, 3).features().fingerprints == ()


def test_features_without_fingerprints_are_computed_again_for_a_run_that_needs_them(tmp_path: Path) -> None:
    first = store(tmp_path)
    first.add([row(1)])
    first.commit()
    assert FeatureStore(tmp_path, KEY, 4, with_fingerprints=True).seen == 0
