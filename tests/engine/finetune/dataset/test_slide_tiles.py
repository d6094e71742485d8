"""A slide's tiles as training images: their pixels, their labels, and what a second run does again."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.records import FoundFile, Truth
from cancernet_cli.data.loading.views import make_views
from cancernet_cli.data.readers import read_image
from cancernet_cli.data.slides import open_slide
from cancernet_cli.data.tiles.pixels import read_tiles
from cancernet_cli.data.tiles.slide_plan import Cut
from cancernet_cli.data.tiles.target_mpp import target_mpp
from cancernet_cli.data.tiles.tiling import TileSize
from cancernet_cli.engine.finetune.dataset import slide_tiles
from cancernet_cli.engine.finetune.dataset.slide_tiles import SlideTiles, cut_slide, tile_file
from tests.he_images import he_like
from tests.slide_files import GLASS, write_svs, write_tiled

CUT = Cut(64, 48, 0.6)
CLASSES = ("benign", "malignant")
WIDTH, HEIGHT = 900, 700


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tissue with a rim of glass, 0.5 um a pixel: tiles are 77 x 58 pixels at level 0."""
    path = tmp_path_factory.mktemp("slides") / "a.tif"
    picture = np.full((HEIGHT, WIDTH, 3), GLASS, np.uint8)
    picture[100:600, 100:800] = he_like(0, 700, 500)
    write_tiled(path, picture, mpp=0.5)
    return path


def found(path: Path, label: str | None = "benign") -> FoundFile:
    status = path.stat()
    return FoundFile(path.name, os.fsencode(path), status.st_size, status.st_mtime_ns, Truth(label=label), kind="slide")


def cut(path: Path, folder: Path, annotations: Path | None = None, **changed: object) -> SlideTiles:
    options = FinetuneOptions(**({"tiles_per_slide": 1000} | changed))  # type: ignore[arg-type]
    return cut_slide(found(path), annotations, CLASSES, CUT, options, folder)


def corners(tiles: SlideTiles) -> list[tuple[int, int]]:
    return list(zip(tiles.x, tiles.y, strict=True))


def drawn(folder: Path, **regions: tuple[int, int, int, int]) -> Path:
    """A GeoJSON file with a rectangle (left, top, right, bottom) for each class."""
    features = []
    for name, (left, top, right, bottom) in regions.items():
        ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name}}})
    path = folder / "drawn.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_a_tiles_file_holds_the_pixels_that_classify_will_read(path: Path, tmp_path: Path) -> None:
    tiles = cut(path, tmp_path)
    assert (tiles.width_px, tiles.height_px) == (77, 58)
    assert len(tiles.x) > 40
    assert set(tiles.labels) == {"benign"}
    slide = open_slide(os.fsencode(path))
    for x, y in corners(tiles):
        pixels = read_image(os.fsencode(tile_file(tiles.folder, x, y)), max_pixels=10**6)
        np.testing.assert_array_equal(pixels, read_tiles(slide, [x], [y], TileSize(77, 58, 64, 48)).pixels[0])


@pytest.mark.parametrize(
    "policy",
    [
        InputPolicy(view="grid", width_px=64, height_px=48, mpp=0.6),
        InputPolicy(view="grid", width_px=64, height_px=48, scale=0.5, mpp=0.3),  # beside photos
        InputPolicy(view="resize", width_px=64, height_px=48, mpp=0.6),
    ],
)
def test_a_tile_is_one_view_as_it_is_at_the_scale_that_the_card_says(
    path: Path, tmp_path: Path, policy: InputPolicy
) -> None:
    assert target_mpp(policy).mpp == CUT.mpp
    tiles = cut(path, tmp_path, tiles_per_slide=1)
    pixels = read_image(os.fsencode(tile_file(tiles.folder, *corners(tiles)[0])), max_pixels=10**6)
    np.testing.assert_array_equal(make_views(pixels, policy), pixels[None])


def test_no_more_tiles_than_wanted_and_the_same_for_the_same_seed(path: Path, tmp_path: Path) -> None:
    everything = corners(cut(path, tmp_path / "all"))
    one, same, other = (
        corners(cut(path, tmp_path / name, tiles_per_slide=12, seed=seed))
        for name, seed in (("1", 1), ("2", 1), ("3", 2))
    )
    assert len(one) == len(other) == 12
    assert one == same != other
    assert set(one) | set(other) < set(everything)
    assert one == sorted(one, key=lambda corner: corner[::-1])


def test_annotated_tiles_have_their_regions_class_and_the_others_are_not_learned_from(
    path: Path, tmp_path: Path
) -> None:
    file = drawn(tmp_path, benign=(100, 100, 400, 600), MALIGNANT=(500, 100, 800, 600))
    tiles = cut(path, tmp_path, file)
    # columns of 77 pixels: 77 to 154 lies in benign by 54 of 77, 385 by 15; 462 lies in malignant by 39, 770 by 30
    columns = {(x, label) for x, label in zip(tiles.x, tiles.labels, strict=True)}
    assert columns == {(77 * i, "benign") for i in (1, 2, 3, 4)} | {(77 * i, "malignant") for i in (6, 7, 8, 9)}
    assert cut(path, tmp_path, file, min_annotated=0.6).x.count(77 * 6) == 0
    assert cut(path, tmp_path, file, min_annotated=1.0).x.count(77) == 0
    assert cut(path, tmp_path, file, min_annotated=1.0).x.count(77 * 2) > 0


def test_annotations_that_count_from_the_scan_are_moved_there_and_nobody_guesses(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scanned_in_part(location: bytes) -> object:
        slide = open_slide(location)
        slide.scan_origin = (231, 58)  # three columns and a row of tiles
        return slide

    file = drawn(tmp_path, benign=(100, 100, 400, 600))
    whole = cut(path, tmp_path, file, annotation_origin="scan")  # of a slide that was scanned whole
    monkeypatch.setattr(slide_tiles, "open_slide", scanned_in_part)
    with pytest.raises(
        InputError,
        match=r"starts at \(231, 58\): .*; pass --annotation-origin scan for annotations",
    ):
        cut(path, tmp_path / "auto", file)
    assert cut(path, tmp_path / "slide", file, annotation_origin="slide").x == whole.x
    moved = corners(cut(path, tmp_path / "scan", file, annotation_origin="scan"))
    assert {x for x, _ in moved} == {x + 231 for x in whole.x}
    assert {(x, y) for x, y in moved if y + 58 < 600} >= {(x + 231, y + 58) for x, y in corners(whole) if y < 420}


def test_where_there_are_too_many_a_small_region_still_gives_its_tiles(path: Path, tmp_path: Path) -> None:
    file = drawn(tmp_path, benign=(100, 100, 600, 600), malignant=(616, 290, 770, 406))
    tiles = cut(path, tmp_path, file, tiles_per_slide=12)
    assert (tiles.labels.count("benign"), tiles.labels.count("malignant")) == (8, 4)


def test_tiles_that_two_classes_claim_are_left_out(path: Path, tmp_path: Path) -> None:
    file = drawn(tmp_path, benign=(100, 100, 800, 600), malignant=(500, 100, 800, 600))
    tiles = cut(path, tmp_path, file)
    assert set(tiles.labels) == {"benign"}
    assert max(tiles.x) == 77 * 5
    assert any(
        "are in regions of several classes of drawn.geojson and are omitted" in words for words in tiles.warnings
    )
    assert any(
        "no tile with tissue has 50.0 % or more of its area in regions 'malignant'" in words for words in tiles.warnings
    )


def test_a_slide_without_a_region_of_a_class_says_so(path: Path, tmp_path: Path) -> None:
    tiles = cut(path, tmp_path, drawn(tmp_path, Stroma=(100, 100, 800, 600)))
    assert (tiles.x, tiles.others) == ((), ("Stroma",))
    assert tiles.failure == "no tile has a label from drawn.geojson"


def test_a_second_run_reads_only_what_is_missing(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cut(path, tmp_path, tiles_per_slide=20)
    files = [tile_file(whole.folder, *corner) for corner in corners(whole)]
    before = {file: file.read_bytes() for file in files}
    asked: list[int] = []
    real = slide_tiles.read_tiles
    monkeypatch.setattr(
        slide_tiles, "read_tiles", lambda slide, x, *rest: asked.append(len(x)) or real(slide, x, *rest)
    )
    monkeypatch.setattr(slide_tiles, "open_slide", lambda location: pytest.fail("it is finished"))
    assert cut(path, tmp_path, tiles_per_slide=20) == whole
    monkeypatch.setattr(slide_tiles, "open_slide", open_slide)
    files[3].unlink()
    files[7].write_bytes(b"")  # as after a power cut
    assert cut(path, tmp_path, tiles_per_slide=20) == whole
    assert asked == [2]
    assert {file: file.read_bytes() for file in files} == before


def test_other_options_another_label_or_a_changed_slide_are_cut_apart(path: Path, tmp_path: Path) -> None:
    options, slide = FinetuneOptions(tiles_per_slide=2), found(path)
    file = drawn(tmp_path, benign=(100, 100, 800, 600))
    places = {
        cut_slide(slide, None, CLASSES, CUT, options, tmp_path).folder,
        cut_slide(replace(slide, mtime_ns=1), None, CLASSES, CUT, options, tmp_path).folder,
        cut_slide(found(path, "malignant"), None, CLASSES, CUT, options, tmp_path).folder,
        cut_slide(slide, file, CLASSES, CUT, options, tmp_path).folder,
        cut_slide(slide, None, CLASSES, replace(CUT, mpp=0.7), options, tmp_path).folder,
        cut_slide(slide, None, CLASSES, CUT, replace(options, overlap=0.5), tmp_path).folder,
    }
    assert len(places) == 6


def test_what_cannot_be_read_is_left_out_with_its_reason(tmp_path: Path) -> None:
    import tifffile

    path = tmp_path / "s.svs"
    picture = cv2.resize(he_like(1, 600, 400), (2400, 1600))
    write_svs(path, picture, mpp="0.5")
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        start, count = page.dataoffsets[35], page.databytecounts[35]  # row 3, column 5 of tiles of 240
    data = bytearray(path.read_bytes())
    data[start : start + count] = b"\xff" * count
    path.write_bytes(data)
    tiles = cut_slide(found(path), None, CLASSES, Cut(240, 240, 0.5), FinetuneOptions(), tmp_path / "work")
    assert (1200, 720) not in corners(tiles)
    assert len(tiles.x) == 67
    assert any("1 of 68 tiles are omitted; the first, at (1200, 720): decode: " in words for words in tiles.warnings)
    assert not (tiles.folder / slide_tiles.INDEX_FILE).exists()  # it may be read next time
    path.write_bytes(data[: len(data) // 3])
    again = cut_slide(found(path), None, CLASSES, Cut(240, 240, 0.5), FinetuneOptions(), tmp_path / "work")
    assert again.x == ()
    assert again.failure.startswith("open: ")


def test_a_slide_without_tissue_gives_no_tile(tmp_path: Path) -> None:
    path = tmp_path / "glass.tif"
    write_tiled(path, np.full((500, 600, 3), GLASS, np.uint8), mpp=0.5)
    tiles = cut(path, tmp_path)
    assert (tiles.x, tiles.failure) == ((), "no tile was found")
    assert any("no tissue was found" in words for words in tiles.warnings)


def test_broken_annotations_stop_it(path: Path, tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text("[")
    with pytest.raises(InputError, match=r"a\.geojson is not valid JSON"):
        cut(path, tmp_path, tmp_path / "a.geojson")
