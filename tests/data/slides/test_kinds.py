"""A photo is never a slide, a slide never a photo, and the parts of a slide are no inputs."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cancernet_cli.data.dicom import series_of
from cancernet_cli.data.discovery.discover import find_slides
from cancernet_cli.data.slide_parts import is_part
from cancernet_cli.data.slides import open_slide
from cancernet_cli.data.slides.kinds import kind_of
from tests.he_images import he_like
from tests.slide_files import levels_of, marked, real_slide, write_ome, write_svs, write_tiled

SMALL = marked(640, 480)


def kind(path: Path) -> str:
    return kind_of(os.fsencode(path))


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".webp", ".tif"])
def test_photos_are_images_whatever_they_are_called(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"photo{ending}"
    Image.fromarray(he_like(0)).save(path)
    assert kind(path) == "image"
    if ending != ".tif":
        renamed = path.rename(tmp_path / "photo.svs")
        assert kind(renamed) == "image"


def test_small_tiffs_are_images_tiled_or_with_thumbnails(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "tiled.tif", SMALL, tile=(128, 128), photometric="rgb")
    with tifffile.TiffWriter(tmp_path / "thumbnail.tif") as file:  # as cameras and Photoshop write them
        file.write(SMALL, photometric="rgb", metadata=None)
        file.write(SMALL[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
    with tifffile.TiffWriter(tmp_path / "pages.tif") as file:  # a stack, and no pyramid
        for page in (SMALL, SMALL[::-1], SMALL[:400, :500]):
            file.write(page, tile=(128, 128), photometric="rgb", metadata=None)
    tifffile.imwrite(tmp_path / "flat.ome.tif", SMALL, photometric="rgb", ome=True)
    for name in ("tiled.tif", "thumbnail.tif", "pages.tif", "flat.ome.tif"):
        assert kind(tmp_path / name) == "image", name


@pytest.mark.parametrize("write", [write_tiled, write_svs, write_ome])
@pytest.mark.parametrize("name", ["slide.tif", "slide.svs", "slide.jpg"])
def test_pyramids_and_vendors_files_are_slides_whatever_they_are_called(
    tmp_path: Path, write: object, name: str
) -> None:
    write(tmp_path / name, SMALL)  # type: ignore[operator]
    assert kind(tmp_path / name) == "slide"


@pytest.mark.parametrize("factors", [(1, 2), (1, 2, 4), (4, 2, 1), (1, 3)])
@pytest.mark.parametrize("marks", ["all but the largest", "none"])
def test_a_pyramid_is_a_slide_in_any_order_with_or_without_marks(
    tmp_path: Path, factors: tuple[int, ...], marks: str
) -> None:
    path = tmp_path / "s.tif"
    levels = dict(zip(factors, levels_of(SMALL, factors), strict=True))
    with tifffile.TiffWriter(path) as file:
        for factor, level in levels.items():
            mark = {"subfiletype": 1} if factor > 1 and marks != "none" else {}
            file.write(level, tile=(128, 128), photometric="rgb", compression="deflate", metadata=None, **mark)
    assert kind(path) == "slide"
    slide = open_slide(os.fsencode(path))
    assert [level.downsample for level in slide.levels] == pytest.approx(sorted(factors), rel=0.01)
    for i, factor in enumerate(sorted(factors)):
        height, width = levels[factor].shape[:2]
        np.testing.assert_array_equal(slide.read_level(i, 0, 0, width, height), levels[factor])


@pytest.mark.parametrize(("side", "expected"), [((8000, 6250), "image"), ((8000, 6251), "slide")])
def test_a_plain_tiff_is_a_slide_above_fifty_megapixels(tmp_path: Path, side: tuple[int, int], expected: str) -> None:
    path = tmp_path / "large.tif"
    tifffile.imwrite(path, np.zeros((side[1], side[0]), np.uint8), compression="deflate", rowsperstrip=512)
    assert kind(path) == expected


@pytest.mark.parametrize("name", ["gone.svs", "gone.mrxs", "empty.ndpi", "noise.scn", "GONE.SVS"])
def test_without_content_the_name_decides(tmp_path: Path, name: str) -> None:
    if name.startswith("empty"):
        (tmp_path / name).touch()
    if name.startswith("noise"):
        (tmp_path / name).write_bytes(b"nothing that anybody knows" * 20)
    assert kind(tmp_path / name) == "slide"
    assert kind(tmp_path / "gone.tif") == "image"
    assert kind(tmp_path / "gone.png") == "image"


def test_nobody_waits_on_a_pipe(tmp_path: Path) -> None:
    for name in ("a.png", "b.svs", "c.tif"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "d.svs").write_bytes(b"x")
    found = find_slides([str(tmp_path)], base=os.fsencode(tmp_path))
    assert [file.path for file in found] == ["d.svs"]


def test_a_slide_that_is_cut_off_is_still_a_slide(tmp_path: Path) -> None:
    for name, write in (("a.svs", write_svs), ("b.tif", write_tiled), ("c.ome.tif", write_ome)):
        path = tmp_path / name
        write(path, marked(1200, 900))
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert kind(path) == "slide", name


def test_an_mrxs_is_a_slide_though_it_begins_as_a_jpeg(tmp_path: Path) -> None:
    Image.fromarray(SMALL).save(tmp_path / "s.mrxs", "JPEG")
    assert kind(tmp_path / "s.mrxs") == "slide"


def test_the_real_slide_is_a_slide() -> None:
    assert kind(real_slide()) == "slide"


def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    head = struct.pack("<HH2s", group, number, kind)
    if kind in (b"SQ", b"OB", b"UN"):
        return head + struct.pack("<2xI", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def dicom(series: bytes, *, before: bytes = b"") -> bytes:
    meta = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.4.50")
    study = element(8, 0x60, b"CS", b"SM") + before + element(0x20, 0x0D, b"UI", b"1.2.3")
    return bytes(128) + b"DICM" + meta + study + element(0x20, 0x0E, b"UI", series) + element(0x28, 2, b"US", b"\3\0")


def test_the_series_of_a_dicom_file(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(b"1.2.3.4"))
    assert series_of(str(path)) == "1.2.3.4"
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + element(8, 0x100, b"SH", b"code")
    item += struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    nested = struct.pack("<HH2s2xI", 8, 0x1110, b"SQ", 0xFFFFFFFF) + item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    path.write_bytes(dicom(b"1.2.3.5", before=nested))
    assert series_of(str(path)) == "1.2.3.5"
    for broken in (b"", bytes(128) + b"DICM", dicom(b"1.2.3.4")[:160], b"II*\0" * 100):
        path.write_bytes(broken)
        assert series_of(str(path)) is None


def test_of_a_dicom_series_the_first_file_stands_for_all(tmp_path: Path) -> None:
    for name, series in (("b.dcm", b"1.1"), ("a.dcm", b"1.1"), ("c.dcm", b"1.2"), ("d.dcm", b"")):
        (tmp_path / name).write_bytes(dicom(series))
    assert [name for name in "abcd" if is_part(os.fsencode(tmp_path / f"{name}.dcm"))] == ["b"]
    found = find_slides([str(tmp_path)], base=tmp_path)
    assert [file.path for file in found] == ["a.dcm", "c.dcm", "d.dcm"]


def test_dicom_files_without_an_ending_are_parts_too(tmp_path: Path) -> None:
    for name in ("1.2.840.1", "1.2.840.2", "IM_0001", "z.dcm"):
        (tmp_path / name).write_bytes(dicom(b"1.1"))
    (tmp_path / "README").write_text("about")
    names = sorted(path.name for path in tmp_path.iterdir())
    parts = [name for name in names if is_part(os.fsencode(tmp_path / name))]
    assert parts == ["1.2.840.2", "IM_0001", "z.dcm"]


def test_a_header_of_dicom_is_read_in_bounded_time_and_memory(tmp_path: Path) -> None:
    path = tmp_path / "s.dcm"
    many = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 2_000_000
    path.write_bytes(dicom(b"1.2", before=struct.pack("<HH2s2xI", 8, 0x1110, b"SQ", 0xFFFFFFFF) + many))
    start = time.monotonic()
    assert series_of(str(path)) is None
    path.write_bytes(dicom(b"1.2.3")[:-20] + struct.pack("<HH2sH", 0x20, 0x0E, b"UN", 0) + b"\xff\xff\xff\xfe1.2")
    series_of(str(path))
    os.mkfifo(tmp_path / "pipe.dcm")
    assert series_of(str(tmp_path / "pipe.dcm")) is None
    assert time.monotonic() - start < 5


def test_parts_of_mrxs_and_vms_are_no_inputs(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for name in (
        "s.mrxs",
        "s/Slidedat.ini",
        "s/Data0000.dat",
        "other.dat",
        "photo.jpg",
        "v.jpg",
        "v(1,0).jpg",
        "v.opt",
    ):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "v.vms").write_bytes(
        b"[Virtual Microscope Specimen]\r\nImageFile=v.jpg\r\nImageFile(1,0)=v(1,0).jpg\r\nOptimisationFile=v.opt\r\n"
    )
    parts = {"s/Slidedat.ini", "s/Data0000.dat", "v.jpg", "v(1,0).jpg", "v.opt"}
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {name for name in names if is_part(os.fsencode(tmp_path / name))} == parts
    found = find_slides([str(tmp_path)], base=tmp_path)
    assert [file.path for file in found] == ["s.mrxs", "v.vms"]


def test_folders_files_patterns_and_manifests_give_each_slide_once(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write_tiled(tmp_path / "deep" / "a.tif", SMALL)
    write_svs(tmp_path / "b.svs", SMALL)
    Image.fromarray(SMALL).save(tmp_path / "photo.png")
    Image.fromarray(levels_of(SMALL, (2,))[0]).save(tmp_path / "photo.tif")
    (tmp_path / "list.csv").write_text("path\nb.svs\ndeep/a.tif\nlost.svs\nlost.tif\nphoto.png\n")

    def paths(*inputs: object, **options: object) -> list[str]:
        return [file.path for file in find_slides([str(one) for one in inputs], base=tmp_path, **options)]  # type: ignore[arg-type]

    assert paths(tmp_path, tmp_path / "b.svs", tmp_path / "*.svs") == ["b.svs", "deep/a.tif"]
    assert paths(tmp_path, exclude=[tmp_path / "deep"]) == ["b.svs"]
    assert paths(tmp_path / "**" / "*.tif") == ["deep/a.tif"]
    assert paths(tmp_path, kind="slide") == ["b.svs", "deep/a.tif", "photo.tif"]
    assert paths(tmp_path, kind="image") == []
    listed = find_slides([str(tmp_path / "list.csv")], base=tmp_path)
    assert [file.path for file in listed] == ["b.svs", "deep/a.tif", "lost.svs", "lost.tif"]
    assert [file.problem is not None for file in listed] == [False, False, True, True]
