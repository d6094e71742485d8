"""Slides in the loader's workers: plans and tiles, and what a worker that dies costs."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

import numpy as np
import pytest

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.options import TilingOptions
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.images import BatchDecoder
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.data.loading.slides import (
    DecodedTiles,
    Done,
    Idle,
    PlannedSlide,
    SlideDecoder,
    SlideToPlan,
    TileSpan,
    Work,
)
from cancernet_cli.data.tiles.slide_plan import Cut
from tests.slide_files import tissue_slide, write_tiled

POLICY = InputPolicy(width_px=64, height_px=64)


@dataclass(frozen=True)
class DeadlyDecoder(SlideDecoder):
    """Dies, as a decoder that crashes would, at the tile of that number."""

    deadly: int = -1

    def __getitem__(self, work: Work) -> Done:
        if isinstance(work, TileSpan) and self.deadly in work.numbers:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(work)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> FoundFile:
    path = tmp_path_factory.mktemp("slides") / "a.tif"
    write_tiled(path, tissue_slide(900, 600), mpp=0.5)
    status = path.stat()
    return FoundFile("a.tif", os.fsencode(path), status.st_size, status.st_mtime_ns, kind="slide")


def decoder(deadly: int = -1, **options: bool) -> DeadlyDecoder:
    return DeadlyDecoder(BatchDecoder(POLICY, 10**6), Cut(64, 64, 0.5), TilingOptions(), deadly=deadly, **options)


def planned(slide: FoundFile, **options: bool) -> PlannedSlide:
    found = decoder(**options)[SlideToPlan(slide)]
    assert isinstance(found, PlannedSlide)
    return found


def spans(slide: FoundFile, each: int) -> list[TileSpan]:
    tiles = planned(slide).plan.tiles
    numbers = np.arange(len(tiles))
    cuts = [numbers[first : first + each] for first in range(0, len(tiles), each)]
    return [TileSpan(slide, tiles.size, cut, tiles.x[cut], tiles.y[cut]) for cut in cuts]


def test_a_plan_comes_without_its_picture_unless_that_is_wanted(slide: FoundFile) -> None:
    assert planned(slide).plan.thumbnail.pixels.size == 0
    kept = planned(slide, keep_thumbnails=True).plan.thumbnail
    assert kept.pixels.size > 0
    assert kept.downsample == planned(slide).plan.thumbnail.downsample


@pytest.mark.parametrize("workers", [0, 2])
def test_work_of_every_kind_comes_back_in_order(slide: FoundFile, workers: int) -> None:
    some = spans(slide, 5)[:3]
    work: list[Work] = [SlideToPlan(slide), some[0], Idle(), some[1], [slide], some[2]]
    found = list(load_batches(work, decoder(), workers=workers))
    assert [type(one).__name__ for one in found] == [
        "PlannedSlide",
        "DecodedTiles",
        "Idle",
        "DecodedTiles",
        "DecodedBatch",
        "DecodedTiles",
    ]
    tiles = [one for one in found if isinstance(one, DecodedTiles)]
    assert [one.span.numbers.tolist() for one in tiles] == [span.numbers.tolist() for span in some]
    assert all(one.pixels.shape == (5, 64, 64, 3) and len(one.blur) == 5 for one in tiles)


@pytest.mark.slow
def test_a_worker_that_dies_costs_the_tile_that_killed_it(slide: FoundFile) -> None:
    work = spans(slide, 6)[:3]
    healthy = [one for one in load_batches(work, decoder(), workers=0) if isinstance(one, DecodedTiles)]
    found = [one for one in load_batches(work, decoder(deadly=8), workers=2) if isinstance(one, DecodedTiles)]
    assert [one.span.numbers.tolist() for one in found] == [span.numbers.tolist() for span in work]
    assert [list(one.failures) for one in found] == [[], [2], []]
    assert found[1].failures[2].error == "WorkerDied"
    assert found[1].good.tolist() == [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(found[1].pixels.numpy(), healthy[1].pixels.numpy()[[0, 1, 3, 4, 5]])
    np.testing.assert_array_equal(found[1].blur, healthy[1].blur[[0, 1, 3, 4, 5]])
