from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.loading.true_masks import masks_in, read_true_mask
from cancernet_cli.data.readers import UnreadableImage

LABELS = np.array([[0, 1, 1], [2, 2, 0], [0, 0, 3]])


def written(path: Path, values: np.ndarray) -> bytes:
    assert cv2.imwrite(str(path), values)
    return os.fsencode(path)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_one_value_per_nucleus(tmp_path: Path, kind: type) -> None:
    found, is_instances = read_true_mask(written(tmp_path / "a.png", LABELS.astype(kind)))
    assert is_instances
    assert found.tolist() == LABELS.tolist()


def test_32_bit_tiff(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", (LABELS * 70_000).astype(np.uint32))
    found, is_instances = read_true_mask(os.fsencode(tmp_path / "a.tif"))
    assert is_instances
    assert found.max() == 210_000


@pytest.mark.parametrize(
    "values", [(LABELS > 0) * 1, (LABELS > 0) * 255, LABELS * 85, (LABELS > 0) * 255 - (LABELS > 1) * 100]
)
def test_binary_and_soft_masks_have_no_instances(tmp_path: Path, values: np.ndarray) -> None:
    found, is_instances = read_true_mask(written(tmp_path / "a.png", values.astype(np.uint8)))
    assert not is_instances
    assert set(np.unique(found)) == {0, 1}
    assert found.tolist() == (values >= values.max() / 2).tolist()


def test_color_masks_are_read_by_their_brightest_channel(tmp_path: Path) -> None:
    red = np.zeros((3, 3, 4), np.uint8)
    red[LABELS > 0, 2] = 255
    red[..., 3] = 255  # opaque everywhere
    found, is_instances = read_true_mask(written(tmp_path / "a.png", red))
    assert not is_instances
    assert found.tolist() == (LABELS > 0).tolist()


def test_what_is_not_a_mask_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(UnreadableImage, match="mask: ValueError: not an image file"):
        read_true_mask(os.fsencode(tmp_path / "a.png"))
    with pytest.raises(UnreadableImage, match="FileNotFoundError"):
        read_true_mask(os.fsencode(tmp_path / "b.png"))


def test_masks_are_found_by_path_then_by_name(tmp_path: Path) -> None:
    for name in ("a/one.png", "b/one.png", "deep/two_mask.tif", "a/three.jpg.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = masks_in(tmp_path, ["a/one.jpg", "c/one.jpg", "two.jpg", "a/three.jpg", "missing.jpg"])
    assert {path: os.path.relpath(os.fsdecode(mask), tmp_path) for path, mask in found.items()} == {
        "a/one.jpg": "a/one.png",
        "two.jpg": "deep/two_mask.tif",
        "a/three.jpg": "a/three.jpg.png",
    }  # c/one.jpg could have either of two
    with pytest.raises(InputError, match="is not a folder"):
        masks_in(tmp_path / "none", [])
