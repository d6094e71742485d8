"""The one pass over the images: what each shows, or why it cannot be read."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Event, StageAdvanced, StageFinished, StageStarted, Warn
from cancernet_cli.core.options import LearningOptions
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.splits.duplicates import Fingerprint
from cancernet_cli.engine.finetune.dataset import reading
from cancernet_cli.engine.finetune.dataset.reading import STAGE, read_fingerprints, readable_rows
from tests.he_images import he_like


def test_every_file_is_counted_and_has_a_fingerprint_or_a_reason(tmp_path: Path) -> None:
    for name in ("a.png", "b.bmp"):
        Image.fromarray(he_like(0, 210, 138)).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"no image")
    names = ["broken.png", "a.png", "gone.png", "b.bmp"]
    files = [FoundFile(name, os.fsencode(tmp_path / name), 1, 1) for name in names]
    said: list[Event] = []
    found = read_fingerprints([file.location for file in files], LearningOptions(), said.append)
    assert [type(one) for one in found] == [Failure, Fingerprint, Failure, Fingerprint]
    assert found[1].digest == found[3].digest  # type: ignore[union-attr]
    assert said[0] == StageStarted(STAGE, 4, "images")
    assert sum(event.done for event in said if isinstance(event, StageAdvanced)) == 4
    assert said[-1] == StageFinished(STAGE)

    said.clear()
    assert readable_rows(files, found, said.append).tolist() == [1, 3]
    assert [event.message.split(":")[0] for event in said if isinstance(event, Warn)] == [
        "broken.png is omitted",
        "gone.png is omitted",
    ]
    with pytest.raises(InputError, match=r"none of 2 images could be read; see the warnings above"):
        readable_rows([files[0], files[2]], [found[0], found[2]], said.append)


def test_a_file_that_crashes_or_hangs_its_reader_has_that_as_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "crash.png", "hang.png"):
        Image.fromarray(he_like(0, 64, 48)).save(tmp_path / name)
    here, reads = os.getpid(), reading.read_image

    def read(location: bytes, *, max_pixels: int) -> object:
        assert os.getpid() != here
        if location.endswith(b"crash.png"):
            os.kill(os.getpid(), signal.SIGKILL)
        if location.endswith(b"hang.png"):
            time.sleep(600)
        return reads(location, max_pixels=max_pixels)

    monkeypatch.setattr(reading, "read_image", read)
    locations = [os.fsencode(tmp_path / name) for name in ("crash.png", "a.png", "hang.png")]
    options = LearningOptions(file_timeout=2.0, workers=2)
    crash, a, hang = read_fingerprints(locations, options, lambda event: None)
    assert isinstance(a, Fingerprint)
    assert [one.error for one in (crash, hang) if isinstance(one, Failure)] == ["WorkerDied", "TimedOut"]
