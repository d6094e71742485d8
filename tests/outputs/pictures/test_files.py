"""Pictures under any name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cancernet_cli.core.errors import OutputError
from cancernet_cli.outputs.pictures.files import write_jpeg, write_mask, write_png


@pytest.mark.parametrize("name", [b"plain.png", b"new\nline.png", b"bad\xff.png", "grün 乳".encode()])
def test_png_gives_the_pixels_back(tmp_path: Path, name: bytes) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    path = tmp_path / "sub" / os.fsdecode(name)
    write_png(image, path)
    with path.open("rb") as file:
        np.testing.assert_array_equal(np.asarray(Image.open(file)), image)
    assert os.listdir(os.fsencode(path.parent)) == [name]


def test_jpeg_keeps_red_red(tmp_path: Path) -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, ::2] = (250, 20, 30)  # one pixel wide: lost when colours are halved
    write_jpeg(image, tmp_path / "a.jpg")
    shown = np.asarray(Image.open(tmp_path / "a.jpg")).astype(int)
    assert np.abs(shown - image).max() < 40


def test_masks_are_8_bit_grey(tmp_path: Path) -> None:
    write_mask(np.array([[0, 0.5], [1, 2]], np.float32), tmp_path / "m.png")
    with Image.open(tmp_path / "m.png") as shown:
        assert shown.mode == "L"
        assert np.asarray(shown).tolist() == [[0, 128], [255, 255]]


def test_a_path_that_cannot_be_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_png(np.zeros((2, 2), np.uint8), tmp_path / "file" / "a.png")
