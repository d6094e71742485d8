"""The sample of files that stages are measured on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from cancernet_cli.core.cards import read_card
from cancernet_cli.core.errors import InputError
from cancernet_cli.engine.bench.sample import find_images, take_sample
from cancernet_cli.engine.bench.stages import file_stages
from cancernet_cli.engine.bench.synthetic_images import field, write_fields
from tests.tiny_model import write_tiny_model


def test_a_sample_skips_bad_files_and_fills_a_batch(tmp_path: Path) -> None:
    card = read_card(write_tiny_model(tmp_path / "tiny"))
    folder = tmp_path / "images"
    write_fields(folder, 3, 64, 48, "png")
    (folder / "bad.png").write_bytes(b"no image")
    sample = take_sample(find_images(folder, card), card, batch_size=5, max_pixels=10_000)
    assert len(sample.files) == 3
    assert sample.pixels.shape == (5, 64, 64, 3)
    assert torch.equal(sample.pixels[3], sample.pixels[0])
    stages = file_stages(sample, card, max_pixels=10_000, repeat=2)
    assert all(len(each) == 2 for each in stages.values())
    for path in folder.glob("0*.png"):
        path.unlink()
    with pytest.raises(InputError, match="no readable image"):
        take_sample(find_images(folder, card), card, batch_size=5, max_pixels=10_000)


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    card = read_card(write_tiny_model(tmp_path / "tiny"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images found"):
        find_images(tmp_path / "empty", card)
    Image.fromarray(field(0, 32, 32)).save(tmp_path / "empty" / "one.png")
    assert [file.path for file in find_images(tmp_path / "empty", card)] == ["one.png"]
