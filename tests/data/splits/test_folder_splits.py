"""The split that folders give."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.splits.folder_splits import split_of_folders

BASE = Path("/data/test")


def at(*names: str) -> list[bytes]:
    return [os.fsencode(BASE / name) for name in names]


def test_folders_named_after_parts_are_the_split() -> None:
    found = split_of_folders(BASE, at("Train/a/x.png", "b/valid/x.png", "test/train/x.png"), prefer="fold")
    assert found is not None
    assert (found.column, found.values.tolist()) == ("split", ["train", "val", "test"])


def test_folds_are_numbered() -> None:
    found = split_of_folders(BASE, at("fold1/x.png", "Fold_03/y.png"), prefer="split")
    assert found is not None
    assert (found.column, found.values.tolist()) == ("fold", [1, 3])


@pytest.mark.parametrize(("prefer", "values"), [("fold", [1, 2]), ("split", ["train", "test"])])
def test_of_both_the_preferred_kind_counts(prefer: str, values: list[object]) -> None:
    found = split_of_folders(BASE, at("fold1/train/x.png", "fold2/test/y.png"), prefer=prefer)  # type: ignore[arg-type]
    assert found is not None
    assert found.values.tolist() == values


def test_one_part_alone_and_the_base_are_no_split() -> None:
    assert split_of_folders(BASE, at("train/x.png", "train/y.png", "z.png"), prefer="fold") is None
    assert split_of_folders(BASE, at("benign/x.png"), prefer="split") is None


def test_files_outside_the_parts_are_refused() -> None:
    with pytest.raises(InputError, match=r"folders give a split \(test and train\), but 1 of 3 images are in no such"):
        split_of_folders(BASE, at("train/x.png", "test/y.png", "more/z.png"), prefer="fold")


def test_longer_names_of_parts_count() -> None:
    found = split_of_folders(BASE, at("Training/x.png", "test_set/y.png", "validation-images/z.png"), prefer="fold")
    assert found is not None
    assert found.values.tolist() == ["train", "test", "val"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/x.png", "other/y.png"], "folders give a split (train), which is ignored, because a split needs"),
        (["train/x.png", "val/y.png"], "folders give a split (train and val), which is ignored, because a split needs"),
        (["fold1/x.png", "y.png"], "folders give a fold (1), which is ignored, because a split needs two folds"),
    ],
)
def test_what_is_no_whole_split_is_told_and_ignored(names: list[str], message: str) -> None:
    said: list[str] = []
    assert split_of_folders(BASE, at(*names), prefer="fold", on_problem=said.append) is None
    assert len(said) == 1
    assert said[0].startswith(message)
