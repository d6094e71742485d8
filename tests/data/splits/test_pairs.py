"""Manifests of images with masks."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.loading.limits import FileLimits
from cancernet_cli.data.splits import pairs
from cancernet_cli.data.splits.pairs import Pair, list_pairs, pair_folds, read_pair


def manifest(folder: Path, text: str) -> list[str]:
    (folder / "manifest.csv").write_text(text)
    return [str(folder / "manifest.csv")]


def test_paths_are_relative_to_the_manifest_and_a_folder_stands_for_it(tmp_path: Path) -> None:
    data = manifest(tmp_path, "image,mask,patient,split\na.png,m/a.png,01,train\nb.png,m/b.png,02,test\n")
    expected = [
        Pair(tmp_path / "a.png", tmp_path / "m/a.png", "01", "train"),
        Pair(tmp_path / "b.png", tmp_path / "m/b.png", "02", "test"),
    ]
    assert list_pairs(data) == list_pairs([str(tmp_path)]) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,mask\na,b\n", "no column 'patient'"),
        ("image,mask,patient\na,b,\n", "line 2 has no patient; fill it in"),
        ("image,mask,patient\n", "no image with a mask"),
        ("image,mask,patient,split\na,b,1,tset\n", "has split 'tset'; use train, val, test"),
        ("image,mask,patient,split\na,b,1,train\nc,d,1,test\n", r"1 patients are in several splits \(1\)"),
        ("image,mask,patient,split\na,b,1,train\n", "no row has split 'test'"),
        ("image,mask,patient,fold\na,b,1,x\n", "line 2 has fold 'x', which is not an integer"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list_pairs(manifest(tmp_path, text))


def test_a_torn_patient_passes_where_the_split_is_not_used(tmp_path: Path) -> None:
    data = manifest(tmp_path, "image,mask,patient,split\na,b,1,train\nc,d,1,test\n")
    with pytest.raises(
        InputError, match=r"the figures would be worthless; give all images .*--resplit, or --allow-leak"
    ):
        list_pairs(data)
    assert [pair.split for pair in list_pairs(data, check_split=False)] == ["train", "test"]


def test_folds_are_drawn_by_patient() -> None:
    pairs = [Pair(Path("a"), Path("b"), f"p{i // 3}") for i in range(30)]
    for seed in range(10):
        folds = pair_folds(pairs, 5, seed)
        assert np.bincount(folds).tolist() == [6] * 5
        assert all(len(set(folds[3 * k : 3 * k + 3])) == 1 for k in range(10))
    assert np.array_equal(pair_folds(pairs, 5, 3), pair_folds(pairs, 5, 3))
    with pytest.raises(InputError, match="10 patients cannot be split into 11 folds; use --folds 10 or fewer"):
        pair_folds(pairs, 11, 0)


def test_given_folds_are_kept_unless_resplit(tmp_path: Path) -> None:
    rows = "".join(f"{i}.png,m.png,p{i},{i % 2 + 3}\n" for i in range(6))
    pairs = list_pairs(manifest(tmp_path, f"image,mask,patient,fold\n{rows}"))
    assert pair_folds(pairs, 5, 0).tolist() == [3, 4, 3, 4, 3, 4]
    assert set(pair_folds(pairs, 3, 0, resplit=True)) == {0, 1, 2}
    with pytest.raises(InputError, match="1 of 7 rows have no fold; fill in the column, or pass --resplit"):
        pair_folds([*pairs, Pair(Path("a"), Path("b"), "p9")], 5, 0)


@pytest.mark.parametrize("inside", [1, 255])
def test_masks_of_0_and_1_or_255_mean_the_same(tmp_path: Path, inside: int) -> None:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    mask = np.zeros((20, 30), np.uint8)
    mask[5:10] = inside
    Image.fromarray(mask).save(tmp_path / "m.png")
    _, found = read_pair(Pair(tmp_path / "a.png", tmp_path / "m.png", "1"), max_pixels=10**6)
    assert np.array_equal(found > 0, mask > 0)
    assert set(np.unique(found)) == {0, 255}


def test_a_mask_of_another_size_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(InputError, match="30 x 20 pixels, its mask 20 x 20"):
        read_pair(Pair(tmp_path / "a.png", tmp_path / "m.png", "1"), max_pixels=10**6)
    with pytest.raises(InputError, match="repair it, or remove its row"):
        read_pair(Pair(tmp_path / "a.png", tmp_path / "none.png", "1"), max_pixels=10**6)


def test_files_that_crash_or_hang_their_reader_are_an_error_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "m.png", "crash.png", "hang.png"):
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / name)
    here, reads, kind_of = os.getpid(), pairs.read_image, pairs.kind_of

    def act(location: bytes) -> None:
        assert os.getpid() != here
        if location.endswith(b"crash.png"):
            os.kill(os.getpid(), signal.SIGKILL)
        if location.endswith(b"hang.png"):
            time.sleep(600)

    monkeypatch.setattr(pairs, "read_image", lambda location, **more: (act(location), reads(location, **more))[1])
    monkeypatch.setattr(pairs, "kind_of", lambda location: (act(location), kind_of(location))[1])
    text = "image,mask,patient\na.png,m.png,1\ncrash.png,m.png,2\nhang.png,m.png,3\n"
    found = list_pairs(manifest(tmp_path, text), timeout_s=2.0)
    assert [pair.patient for pair in found] == ["1", "2", "3"]
    limits = FileLimits(timeout_s=2.0)
    image, mask = next(pairs.read_pairs(found[:1], limits, both))
    assert (image.shape, mask.shape) == ((20, 30, 3), (20, 30))
    for pair, reason in ((found[1], "WorkerDied"), (found[2], "TimedOut")):
        with pytest.raises(InputError, match=rf"{pair.image.name} or its mask: decode: {reason}: .*repair it"):
            list(pairs.read_pairs([pair], limits, both))


def both(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return image, mask
