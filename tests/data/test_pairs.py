"""Manifests of images with masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.pairs import Pair, list_pairs, read_pair


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
        ("image,mask,patient,split\na,b,1,train\nc,d,1,test\n", r"1 patients are in more than one split \(1\)"),
        ("image,mask,patient,split\na,b,1,train\n", "no row has split 'test'"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list_pairs(manifest(tmp_path, text))


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
    with pytest.raises(InputError, match="mend it, or remove its row"):
        read_pair(Pair(tmp_path / "a.png", tmp_path / "none.png", "1"), max_pixels=10**6)
