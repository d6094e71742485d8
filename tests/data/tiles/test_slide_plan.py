"""What a slide's plan says about it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cancernet_cli.core.options import TilingOptions
from cancernet_cli.data.slides import open_slide
from cancernet_cli.data.tiles.slide_plan import Cut, SlidePlan, plan_slide
from tests.slide_files import GLASS, tissue_slide, write_svs, write_tiled

CUT = Cut(224, 224, 0.5)
PINK = (200, 120, 170)


def planned(path: Path, **options: object) -> SlidePlan:
    return plan_slide(open_slide(os.fsencode(path)), CUT, TilingOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(("side", "mpp", "tiles"), [(20, 0.5, 1), (200, 0.25, 1), (224, 0.5, 1), (240, 0.5, 4)])
def test_a_small_slide_of_tissue_has_a_tile(tmp_path: Path, side: int, mpp: float, tiles: int) -> None:
    path = tmp_path / "s.tif"
    write_tiled(path, np.full((side, side, 3), PINK, np.uint8), factors=(), mpp=mpp)
    assert len(planned(path, min_tissue=0.0).tiles) == tiles
    assert len(planned(path).tiles) == 1  # the others are nearly all outside the slide


@pytest.mark.parametrize(
    ("color", "flag", "words"),
    [
        (GLASS, "no_tissue", "no tissue was found"),
        ((0, 0, 0), "too_dark", "too dark to find tissue"),
        ((25, 12, 20), "too_dark", "too dark to find tissue"),
        ((60, 60, 60), "too_dark", "too dark to find tissue"),
    ],
)
def test_a_dark_slide_is_not_called_empty(tmp_path: Path, color: tuple[int, int, int], flag: str, words: str) -> None:
    path = tmp_path / "s.tif"
    write_tiled(path, np.full((600, 600, 3), color, np.uint8), mpp=0.5)
    plan = planned(path)
    assert (len(plan.tiles), plan.flags) == (0, (flag,))
    assert words in " ".join(plan.warnings())


def test_both_resolutions_are_told_where_they_contradict_each_other(tmp_path: Path) -> None:
    path = tmp_path / "s.svs"
    write_svs(path, tissue_slide(900, 600), mpp="0.025", power="40")
    plan = planned(path)
    assert plan.flags == ("mpp_disagrees",)
    assert plan.warnings() == ["its metadata has 0.025 um per pixel, but its objective means 0.25 (set it with --mpp)"]
    plan = planned(path, mpp=0.25)
    assert (plan.resolution.mpp, plan.resolution.source, plan.flags) == (0.25, "option", ("mpp_overridden",))
    assert plan.warnings() == ["--mpp 0.25 replaces the 0.025 um per pixel of its metadata"]
