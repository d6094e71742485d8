"""Every reader gives the pixels that were written, and says why it cannot."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from cancernet_cli.core.records import Failure
from cancernet_cli.data.slides import UnreadableSlide, handles, open_slide, shared_slide
from cancernet_cli.data.slides.base import Level, level_for, on_white, slide_readers
from cancernet_cli.data.slides.handles import MAX_OPEN
from cancernet_cli.data.slides.thumbnail import make_thumbnail
from tests.slide_files import levels_of, marked, write_ome, write_svs, write_tiled

PICTURE = marked(700, 500)


def opened(path: Path) -> object:
    return open_slide(os.fsencode(path))


def failure(path: Path) -> str:
    with pytest.raises(UnreadableSlide) as caught:
        opened(path)
    return str(caught.value)


@pytest.mark.parametrize(("write", "vendor"), [(write_tiled, "generic-tiff"), (write_ome, "ome-tiff")])
def test_lossless_pyramids_keep_every_pixel_of_every_level(tmp_path: Path, write: object, vendor: str) -> None:
    levels = write(tmp_path / "s.tif", PICTURE)  # type: ignore[operator]
    slide = opened(tmp_path / "s.tif")
    assert slide.vendor == vendor
    assert [(level.width_px, level.height_px) for level in slide.levels] == [(700, 500), (350, 250), (175, 125)]
    assert [level.downsample for level in slide.levels] == [1, 2, 4]
    for i, level in enumerate(levels):
        height, width = level.shape[:2]
        np.testing.assert_array_equal(slide.read_level(i, 0, 0, width, height), level)
        around = slide.read_level(i, -3, -5, width + 7, height + 11)
        np.testing.assert_array_equal(around[5:-6, 3:-4], level)
        around[5:-6, 3:-4] = 255
        assert (around == 255).all()
    assert (slide.read_level(0, 5000, 5000, 20, 10) == 255).all()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rowsperstrip": 32, "compression": "deflate"},
        {"rowsperstrip": 7, "compression": "lzw", "predictor": True},
        {"tile": (128, 64), "compression": "deflate", "planarconfig": "separate"},
        {"planarconfig": "separate", "rowsperstrip": 50, "compression": "deflate"},
        {"planarconfig": "separate", "rowsperstrip": 50},
        {"bigtiff": True, "byteorder": ">", "rowsperstrip": 100},
    ],
    ids=["one strip", "strips", "lzw", "planes in tiles", "planes in strips", "planes as they are", "big endian"],
)
def test_plain_tiffs_of_any_layout_keep_every_pixel(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "s.tif"
    is_separate = options.get("planarconfig") == "separate"
    data = np.moveaxis(PICTURE, 2, 0) if is_separate else PICTURE
    tifffile.imwrite(path, data, photometric="rgb", metadata=None, **options)
    slide = slide_readers["tifffile"].factory().open(os.fsencode(path))
    np.testing.assert_array_equal(slide.read_level(0, 0, 0, 700, 500), PICTURE)
    np.testing.assert_array_equal(slide.read_level(0, 123, 45, 200, 300), PICTURE[45:345, 123:323])


def test_grey_sixteen_bit_and_transparent_tiffs_become_rgb(tmp_path: Path) -> None:
    grey, path = PICTURE[..., 0], tmp_path / "s.tif"

    def read(data: np.ndarray, **options: object) -> np.ndarray:
        tifffile.imwrite(path, data, compression="deflate", metadata=None, **options)
        slide = slide_readers["tifffile"].factory().open(os.fsencode(path))
        return slide.read_level(0, 0, 0, 700, 500)

    np.testing.assert_array_equal(read(grey), np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(read(255 - grey, photometric="miniswhite"), np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(read(PICTURE.astype(np.uint16) * 257, photometric="rgb"), PICTURE)
    alpha = np.full((500, 700, 1), 255, np.uint8)
    alpha[:, 350:] = 0
    found = read(np.concatenate([PICTURE, alpha], axis=2), photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(found[:, :350], PICTURE[:, :350])
    assert (found[:, 350:] == 255).all()


def test_pixels_that_are_no_colours_are_refused_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "s.btf"
    tifffile.imwrite(path, PICTURE.astype(np.float32), photometric="rgb")
    assert failure(path).startswith("open: UnsupportedSlide: its pixels are of type float32")
    tifffile.imwrite(path, np.zeros((300, 400, 6), np.uint8), photometric="minisblack", planarconfig="contig")
    assert "6 channels" in failure(path)


def test_transparency_is_laid_on_white() -> None:
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 200, 128]]], np.uint8)
    over = Image.alpha_composite(Image.new("RGBA", (3, 1), "white"), Image.fromarray(rgba)).convert("RGB")
    assert np.abs(on_white(rgba).astype(int) - np.asarray(over)).max() <= 1
    np.testing.assert_array_equal(on_white(rgba[:, :2]), [[[10, 20, 30], [255, 255, 255]]])


def test_the_level_is_the_nearest_finer_one(tmp_path: Path) -> None:
    write_tiled(tmp_path / "s.tif", PICTURE)
    slide = opened(tmp_path / "s.tif")
    asked = {0.3: 0, 1.0: 0, 1.9: 0, 1.97: 1, 2.0: 1, 3.0: 1, 4.0: 2, 100.0: 2}
    assert {downsample: level_for(slide, downsample) for downsample in asked} == asked


def test_why_files_are_no_slides(tmp_path: Path) -> None:
    assert failure(tmp_path / "gone.svs") == "read: FileNotFoundError: No such file or directory"
    assert failure(tmp_path).startswith("read: IsADirectoryError")
    (tmp_path / "empty.svs").touch()
    assert failure(tmp_path / "empty.svs") == "open: EmptyFile: the file is empty"
    (tmp_path / "noise.svs").write_bytes(b"noise" * 1000)
    assert failure(tmp_path / "noise.svs").startswith("open: NotASlide: no slide reader supports its format")
    Image.fromarray(PICTURE).save(tmp_path / "alone.mrxs", "JPEG")
    assert failure(tmp_path / "alone.mrxs") == (
        "open: MissingCompanion: the folder 'alone' with Slidedat.ini is missing next to it"
    )
    (tmp_path / "v.vms").write_bytes(b"[Virtual Microscope Specimen]\nImageFile=v.jpg\n")
    assert failure(tmp_path / "v.vms") == "open: MissingCompanion: it refers to 'v.jpg', which is missing"


@pytest.mark.parametrize("write", [write_tiled, write_svs, write_ome])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_truncated_slides_do_not_open(tmp_path: Path, write: object, share: float) -> None:
    path = tmp_path / "s.svs"
    write(path, PICTURE)  # type: ignore[operator]
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert failure(path).startswith("open: ")


def test_a_thumbnail_of_a_damaged_slide_says_where_it_is_blind(tmp_path: Path) -> None:
    path = tmp_path / "s.svs"
    write_svs(path, marked(4320, 480))
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        start, count = page.dataoffsets[0], page.databytecounts[0]
    data = bytearray(path.read_bytes())
    data[start : start + count] = b"\xff" * count
    path.write_bytes(data)
    found = make_thumbnail(opened(path), downsample=2)
    assert found.unreadable[:120, :120].all()
    assert not found.unreadable[200:].any()  # a piece that the damage only touches is blind too, and no more
    assert not found.unreadable[:, 200:].any()
    assert (found.pixels[found.unreadable] == 255).all()
    assert (found.pixels[~found.unreadable] != 255).any()


def close_shared() -> None:
    while handles._open:
        handles._open.popitem()[1].close()


def test_a_slide_is_opened_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    close_shared()
    path = tmp_path / "s.tif"
    write_tiled(path, PICTURE)
    location = os.fsencode(path)
    first = shared_slide(location)
    assert shared_slide(location) is first
    write_tiled(path, levels_of(PICTURE, (2,))[0], factors=())
    second = shared_slide(location)
    assert second is not first
    assert second.levels[0].width_px == 350
    for i in range(MAX_OPEN):
        write_tiled(tmp_path / f"{i}.tif", marked(300, 300), factors=())
        shared_slide(os.fsencode(tmp_path / f"{i}.tif"))
    assert shared_slide(location) is not second
    close_shared()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("write", [write_tiled, write_ome])
def test_a_forked_worker_opens_its_own_and_reads_the_same(tmp_path: Path, write: object) -> None:
    close_shared()
    path = tmp_path / "s.tif"
    write(path, PICTURE)  # type: ignore[operator]
    location = os.fsencode(path)
    slide = shared_slide(location)
    slide.read_level(0, 0, 0, 300, 300)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            own = shared_slide(location)
            same = np.array_equal(own.read_level(0, 0, 0, 700, 500), PICTURE)
            code = 0 if own is not slide and same else 2
        finally:
            os._exit(code)
    for _ in range(20):
        np.testing.assert_array_equal(slide.read_level(1, 0, 0, 350, 250), levels_of(PICTURE, (2,))[0])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    close_shared()


def test_where_the_scan_begins_is_openslides_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiled(tmp_path / "s.tif", PICTURE)
    write_ome(tmp_path / "s.ome.tif", PICTURE)
    assert opened(tmp_path / "s.tif").scan_origin == opened(tmp_path / "s.ome.tif").scan_origin == (0, 0)
    facts = {"openslide.vendor": "generic-tiff", "openslide.bounds-x": "231", "openslide.bounds-y": "58"}
    monkeypatch.setattr(openslide.OpenSlide, "properties", facts)
    assert opened(tmp_path / "s.tif").scan_origin == (231, 58)


class Broken:
    """A slide of which only the blocks inside `good` can be read; counts the reads."""

    def __init__(self, side_px: int, good: slice | None = None) -> None:
        self.levels = (Level(side_px, side_px, 1.0),)
        self.good, self.reads = good, 0

    def read_level(self, level: int, x: int, y: int, width_px: int, height_px: int) -> np.ndarray:
        self.reads += 1
        if self.good is None or not (self.good.start <= x and x + width_px <= self.good.stop):
            raise UnreadableSlide(Failure("decode", "Damaged", f"block at {x}, {y}"))
        return np.full((height_px, width_px, 3), 100, np.uint8)


def test_a_slide_of_damaged_tiles_is_given_up_after_a_limited_number() -> None:
    slide = Broken(200_000)
    with pytest.raises(UnreadableSlide, match="block at 0, 0"):
        make_thumbnail(slide, downsample=50)
    assert slide.reads < 2500


def test_the_readable_tenth_of_a_damaged_slide_is_found_wherever_it_is() -> None:
    slide = Broken(40_000, good=slice(34_700, 41_000))
    found = make_thumbnail(slide, downsample=50)
    assert found.unreadable[:, :690].all()
    assert not found.unreadable[:, 740:].any()
    assert slide.reads < 9000


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
def test_a_slide_all_of_whose_tiles_are_damaged_is_refused_at_once(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "s.svs"
    write_svs(path, marked(1440, 1440), compression=compression)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for page in (one.aspage() for one in file.pages):
            for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                data[start : start + count] = b"j" * count
    path.write_bytes(data)
    with pytest.raises(UnreadableSlide, match=r"^decode: "):
        make_thumbnail(opened(path), downsample=10)


@pytest.mark.parametrize("compression", ["webp", "jpeg2000", "zstd", "lzma", "jpegxl", "png"])
def test_pyramids_that_openslide_cannot_decode_are_read_by_the_next_reader(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "s.tif"
    options = {"compressionargs": {"lossless": True}} if compression in ("webp", "jpegxl") else {}
    levels = [PICTURE, *levels_of(PICTURE, (2,))]
    with tifffile.TiffWriter(path) as file:
        for i, level in enumerate(levels):
            kind = {"tile": (128, 128), "compression": compression, "subfiletype": i, "metadata": None, **options}
            file.write(level, photometric="rgb", **kind)
    slide = opened(path)
    for i, level in enumerate(levels):
        np.testing.assert_array_equal(slide.read_level(i, 0, 0, level.shape[1], level.shape[0]), level)


def test_an_unknown_compression_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    write_tiled(path, PICTURE, factors=())
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags["Compression"].overwrite(52479)
    assert failure(path) == "open: UnsupportedSlide: its compression 52479 is unknown"
