import os
import signal
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, DecodedBatch, chunks
from cancernet_cli.data.loading.load import load_batches
from tests.numbered_images import write_numbered

POLICY = InputPolicy(view="grid", width_px=32, height_px=32)


@dataclass(frozen=True)
class DeadlyDecoder(BatchDecoder):
    """Dies, as a decoder that crashes would, at the file of that name."""

    deadly: str = ""

    def __getitem__(self, files: list[FoundFile]) -> DecodedBatch:
        if any(file.path == self.deadly for file in files):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(files)


@pytest.fixture
def files(tmp_path: Path) -> list[FoundFile]:
    found = write_numbered(tmp_path, [64, 32] * 5)  # four views or one
    found[3] = FoundFile("3.png", b"", 0, 0, problem=Failure("discover", "FileNotFoundError", "gone"))
    return found


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_come_in_order_with_every_file(files: list[FoundFile], workers: int) -> None:
    batches = list(load_batches(chunks(files, 3), BatchDecoder(POLICY, 10**6), workers=workers))
    assert [file for batch in batches for file in batch.files] == files
    assert [len(batch.files) for batch in batches] == [3, 3, 3, 1]
    for batch in batches:
        numbers = [
            int(f.path[0])
            for f, i in zip(batch.files, batch.images, strict=True)
            for _ in range(getattr(i, "views", 0))
        ]
        assert batch.pixels.shape == (len(numbers), 32, 32, 3)
        assert batch.pixels[:, 0, 0, 0].tolist() == numbers
    assert batches[1].images[0] == Failure("discover", "FileNotFoundError", "gone")


def test_a_batch_without_a_good_file_has_no_views(files: list[FoundFile]) -> None:
    (batch,) = load_batches([[files[3]]], BatchDecoder(POLICY, 10**6), workers=0)
    assert batch.pixels.shape == (0, 32, 32, 3)


def test_a_worker_that_dies_costs_the_file_that_killed_it(files: list[FoundFile]) -> None:
    decoder = DeadlyDecoder(POLICY, 10**6, deadly="4.png")
    batches = list(load_batches(chunks(files, 3), decoder, workers=2))
    assert [file for batch in batches for file in batch.files] == files
    failed = {
        f.path: i for batch in batches for f, i in zip(batch.files, batch.images, strict=True) if isinstance(i, Failure)
    }
    assert set(failed) == {"3.png", "4.png"}
    assert failed["4.png"].error == "WorkerDied"


def test_whole_images_come_along_where_they_are_asked_for(files: list[FoundFile]) -> None:
    (batch,) = load_batches([files[:4]], BatchDecoder(POLICY, 10**6, keep_originals=True), workers=0)
    assert [tuple(original.shape) for original in batch.originals] == [(64, 64, 3), (32, 32, 3), (64, 64, 3)]
    assert all(original.dtype == torch.uint8 for original in batch.originals)


def test_workers_start_after_opencv_has_used_its_threads_here(files: list[FoundFile]) -> None:
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((4000, 4000, 3), np.uint8), (9, 9), 2)
    batches = list(load_batches(chunks(files, 3), BatchDecoder(POLICY, 10**6), workers=1))
    assert [file for batch in batches for file in batch.files] == files
    assert cv2.getNumThreads() == 2


@pytest.mark.parametrize("shrink", [False, True])
def test_flags_of_a_reader_reach_the_batch(shrink: bool, tmp_path: Path) -> None:
    clear = np.full((64, 64, 4), 90, np.uint8)
    clear[..., 3] = 0
    path = tmp_path / "clear.png"
    cv2.imwrite(str(path), clear)
    (image,) = BatchDecoder(POLICY, 10**6, shrink=shrink)[[FoundFile("clear.png", os.fsencode(path), 1, 1)]].images
    assert not isinstance(image, Failure)
    assert image.flags == ("alpha_ignored",)
    assert image.quality.brightness == 90
