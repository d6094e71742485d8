"""Slides that fail in part or as a whole: damage that stays small, and slides that are given up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile

from cancernet_cli import classify
from cancernet_cli.core import interruption
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.records import FoundFile, RunResult
from cancernet_cli.data.loading import slides as loading_slides
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.data.loading.slides import PlannedSlide
from cancernet_cli.data.slides import shared_slide
from cancernet_cli.engine.classify.pending import Hooks
from cancernet_cli.outputs.tables.parts import BatchOutcome
from tests.he_images import he_like
from tests.slide_files import tissue_slide, write_svs
from tests.tiny_model import write_tiny_model

Run = Callable[..., RunResult]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def run(tmp_path: Path, model: Path) -> Run:
    def classified(inputs: Any, **options: Any) -> RunResult:
        options = {"out": tmp_path / "out" / "p.parquet", "model": str(model), "workers": 0} | options
        return classify(inputs, **options)

    return classified


def rows_of(result: RunResult) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in pq.read_table(result.out).to_pylist()}


def tiles_of(result: RunResult, slide: str) -> list[dict[str, Any]]:
    assert result.tiles_file is not None
    return [row for row in pq.read_table(result.tiles_file).to_pylist() if row["slide"] == slide]


def damaged(path: Path, picture: np.ndarray, tiles: range) -> None:
    """An SVS some of whose JPEG tiles hold nonsense."""
    write_svs(path, picture, mpp="0.5")
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        places = [(page.dataoffsets[i], page.databytecounts[i]) for i in tiles]
    data = bytearray(path.read_bytes())
    for start, count in places:
        data[start : start + count] = b"\xff" * count
    path.write_bytes(data)


def test_damaged_tiles_fail_alone_unless_there_are_too_many(run: Run, tmp_path: Path) -> None:
    slides = tmp_path / "slides"
    slides.mkdir()
    damaged(slides / "bad.svs", tissue_slide(1200, 720), range(6, 7))  # 240 x 240 of level 0, from (240, 240)
    result = run(slides, max_bad_tiles=0.5)
    row, tiles = rows_of(result)["bad.svs"], tiles_of(result, "bad.svs")
    failed = [t for t in tiles if t["status"] == "failed"]
    assert (row["status"], row["failed_tiles"], row["error"][:5]) == ("partial", len(failed), "tiles")
    assert (result.ok, result.partial, result.failed) == (1, 1, 0)
    assert row["error"].startswith(f"tiles: {len(failed)} of {len(tiles)} failed, the first: decode: ")
    assert 0 < len(failed) <= 25
    assert all(t["x"] + 16 > 192 and t["x"] < 480 and t["y"] + 16 > 192 and t["y"] < 480 for t in failed)
    assert all(t["prob_malignant"] is None and t["label"] is None and t["error"] for t in failed)
    good = [t["prob_malignant"] for t in tiles if t["status"] == "ok"]
    assert row["prob_malignant"] == pytest.approx(np.mean(good), abs=1e-6)
    strict = rows_of(run(slides, max_bad_tiles=0.0, out=tmp_path / "strict.parquet"))["bad.svs"]
    assert strict["status"] == "failed"
    assert strict["error"].startswith(f"tile: TooManyBadTiles: {len(failed)} of {len(tiles)} tiles failed, the first: ")
    assert strict["prob_malignant"] is None
    with pytest.raises(InputError, match=r"bad\.svs failed: tile: TooManyBadTiles"):
        run(slides, max_bad_tiles=0.0, strict=True, out=tmp_path / "stops.parquet")


def once_planned(act: Callable[[FoundFile], None]) -> Hooks:
    """Hooks that call `act` with each slide whose plan has just been loaded."""

    def load(*args: Any, **options: Any) -> Iterator[Any]:
        for loaded in load_batches(*args, **options):
            if isinstance(loaded, PlannedSlide):
                act(loaded.file)
            yield loaded

    return Hooks(load_batches=load)


def test_a_slide_that_is_removed_while_its_tiles_are_read_is_one_failed_row(run: Run, tmp_path: Path) -> None:
    slides = tmp_path / "slides"
    slides.mkdir()
    write_svs(slides / "gone.svs", tissue_slide(900, 600), mpp="0.5")
    write_svs(slides / "stays.svs", tissue_slide(900, 600), mpp="0.5")

    def remove(file: FoundFile) -> None:
        if file.path == "gone.svs":
            os.unlink(file.location)

    rows = rows_of(run(slides, hooks=once_planned(remove)))
    assert rows["gone.svs"]["error"] == "read: FileNotFoundError: No such file or directory"
    assert rows["stays.svs"]["status"] == "ok"


def test_a_slide_that_changes_during_the_run_fails(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    write_svs(path, tissue_slide(900, 600), mpp="0.5")
    touch = once_planned(lambda file: os.utime(path, ns=(0, 0)))
    row = rows_of(run(path, hooks=touch))["slide.svs"]
    assert row["error"] == "read: FileChanged: the file has changed since the run started"


@pytest.fixture(scope="module")
def hopeless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 18 x 11 tiles of 64 pixels, the upper 4 rows can be read."""
    path = tmp_path_factory.mktemp("slides") / "bad.svs"
    damaged(path, he_like(0, 1152, 704), range(5, 15))
    return path


def test_a_slide_of_which_too_many_tiles_fail_is_read_no_further(hopeless: Path, run: Run, tmp_path: Path) -> None:
    result = run(hopeless, tissue="none")
    row, tiles = rows_of(result)["bad.svs"], tiles_of(result, "bad.svs")
    read = [tile for tile in tiles if not tile["error"].startswith("tile: NotRead: ")]
    failed = [tile for tile in read if tile["status"] == "failed"]
    assert (len(tiles), len(failed), tiles[: len(read)]) == (18 * 11, 65, read)
    assert row["error"].startswith(
        f"tile: TooManyBadTiles: 65 of the first {len(read)} of {len(tiles)} tiles failed, the first: decode: "
    )
    assert all(tile["prob_malignant"] is None for tile in tiles[len(read) :])
    assert result.tiles_file is not None
    expected = result.out.read_bytes(), result.tiles_file.read_bytes()
    for i, options in enumerate(({"batch_size": 500}, {"workers": 2, "batch_size": 50})):
        other = run(hopeless, tissue="none", out=tmp_path / str(i) / "p.parquet", **options)
        assert other.tiles_file is not None
        assert (other.out.read_bytes(), other.tiles_file.read_bytes()) == expected
    assert (
        rows_of(run(hopeless, tissue="none", max_bad_tiles=1.0, out=tmp_path / "all.parquet"))["bad.svs"]["status"]
        == "partial"
    )


def test_wherever_it_is_interrupted_it_is_given_up_at_the_same_tile(
    hopeless: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(hopeless, tissue="none", out=tmp_path / "whole" / "p.parquet")
    assert whole.tiles_file is not None

    def stop_if_requested(words: str = "", **more: Any) -> None:
        if interruption.requested():
            raise KeyboardInterrupt

    monkeypatch.setattr(interruption, "check", stop_if_requested)
    for last in (2, 15):
        seen: list[BatchOutcome] = []

        def count(outcome: BatchOutcome, seen: list[BatchOutcome] = seen, last: int = last) -> None:
            seen.append(outcome)
            if len(seen) == last:
                monkeypatch.setattr(interruption, "requested", lambda: True)

        with pytest.raises(KeyboardInterrupt):
            run(hopeless, tissue="none", batch_size=8, hooks=Hooks(committed=count))
        monkeypatch.setattr(interruption, "requested", lambda: False)
    result = run(hopeless, tissue="none", batch_size=8)
    assert result.tiles_file is not None
    assert result.out.read_bytes() == whole.out.read_bytes()
    assert result.tiles_file.read_bytes() == whole.tiles_file.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_slide_that_takes_too_long_is_given_up(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    slides = tmp_path / "slides"
    slides.mkdir()
    for name in ("good.svs", "slow.svs"):
        write_svs(slides / name, tissue_slide(900, 600), mpp="0.5")
    monkeypatch.setattr(
        loading_slides, "read_tiles", once_in_a_slow_slide(loading_slides.read_tiles, slides / "slow.svs")
    )
    result = run(slides, workers=workers, file_timeout=1.0)
    rows = rows_of(result)
    assert rows["slow.svs"]["error"] == "decode: TimedOut: it took more than 5 s; see --file-timeout"
    assert rows["good.svs"]["status"] == "ok"
    assert {tile["error"] for tile in tiles_of(result, "slow.svs")} == {rows["slow.svs"]["error"]}


def once_in_a_slow_slide(read: Callable[..., Any], slow: Path) -> Callable[..., Any]:
    """`read`, which never returns for the lower half of one slide."""

    def reads(slide: Any, x: Any, y: Any, size: Any) -> Any:
        if slide is shared_slide(os.fsencode(slow)) and min(y) > 300:
            time.sleep(600)
        return read(slide, x, y, size)

    return reads
