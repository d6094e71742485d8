"""A TIFF's directories are walked in bounded time and memory, and checked before a library sees them."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cancernet_cli.data.slides import UnreadableSlide, open_slide
from cancernet_cli.data.slides.kinds import kind_of
from cancernet_cli.data.slides.tiff_directories import MAX_DIRECTORIES, read_directories
from tests.slide_files import marked, write_ome, write_svs, write_tiled

Entry = tuple[int, int, int, int]  # tag, type, count, value or offset
WIDTH, HEIGHT, TILE_WIDTH, TILE_HEIGHT = 256, 257, 322, 323
TILED: list[Entry] = [
    (256, 4, 1, 64),
    (257, 4, 1, 64),
    (322, 4, 1, 16),
    (323, 4, 1, 16),
    (324, 4, 1, 8),
    (325, 4, 1, 8),
]


def directory(entries: list[Entry], following: int, *, order: str = "<", big: bool = False) -> bytes:
    count, entry, end = ("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")
    packed = b"".join(struct.pack(order + entry, *one) for one in entries)
    return struct.pack(order + count, len(entries)) + packed + struct.pack(order + end, following)


def header(order: str = "<", *, big: bool = False) -> bytes:
    name = b"II" if order == "<" else b"MM"
    return name + (struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8))


def refusal(path: Path) -> str:
    """The reason, given within five seconds, whatever kind the file is taken for."""
    start = time.monotonic()
    assert kind_of(os.fsencode(path)) in ("image", "slide")
    with pytest.raises(UnreadableSlide) as caught:
        open_slide(os.fsencode(path)).read_level(0, 0, 0, 16, 16)
    assert time.monotonic() - start < 5
    return str(caught.value)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("length", [1, 2, 101])
def test_a_loop_of_directories_ends(tmp_path: Path, order: str, big: bool, length: int) -> None:
    path, start = tmp_path / "loop.tif", 16 if big else 8
    size = len(directory(TILED, 0, big=big))
    places = [start + i * size for i in range(length)]
    path.write_bytes(
        header(order, big=big)
        + b"".join(directory(TILED, places[(i + 1) % length], order=order, big=big) for i in range(length))
    )
    assert refusal(path) == "open: DamagedSlide: its directories form a loop"


def test_a_loop_below_a_page_ends(tmp_path: Path) -> None:
    path = tmp_path / "loop.tif"
    path.write_bytes(header() + directory([*TILED, (330, 4, 1, 8)], 0))
    assert refusal(path) == "open: DamagedSlide: its directories form a loop"


def test_directories_are_limited_in_number_and_length(tmp_path: Path) -> None:
    path, size = tmp_path / "many.tif", len(directory(TILED, 0))
    path.write_bytes(header() + b"".join(directory(TILED, 8 + (i + 1) * size) for i in range(MAX_DIRECTORIES + 5)))
    assert refusal(path) == "open: DamagedSlide: it has more than 4,096 directories"
    path.write_bytes(header() + struct.pack("<H", 60_000) + bytes(12 * 60_000) + bytes(4))
    assert refusal(path) == "open: DamagedSlide: a directory has 60,000 entries"


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([(256, 2, 1, 96), (279, 4, 1, 7920)], "its directory has no size"),  # a width in letters
        ([(256, 4, 65, 96), (279, 4, 3, 762)], "its directory has no size"),  # a width of 65 numbers
        ([(257, 4, 2, 80), (322, 4, 1, 8519712), (325, 3, 8, 314)], "its tiles are 8519712 x 0 pixels"),
        ([], "its directory has no size"),
        ([*TILED[:2], (322, 4, 1, 0), *TILED[3:]], "its tiles are 0 x 16 pixels"),
        ([*TILED[:3], (323, 4, 1, 2**31 - 1), *TILED[4:]], "UnsupportedSlide: tiles of 16 x 2,147,483,647 pixels"),
        ([(256, 4, 1, 2**31), *TILED[1:]], "its directory lists 1 of 536,870,912 tiles"),
        (TILED, "its directory lists 1 of 16 tiles"),
        ([(256, 4, 1, 96), (257, 4, 1, 2**24), (273, 4, 1, 8), (278, 4, 1, 80), (279, 4, 1, 9)], "1 of 209,716 strips"),
        ([*TILED[:4], (324, 4, 10**9, 8), TILED[5]], "TruncatedSlide: the file ends before the list of its tiles"),
        ([*TILED[:4], (324, 4, 1, 8), (325, 4, 1, 10**6)], "TruncatedSlide: the file is 999,9"),
    ],
)
def test_what_a_directory_claims_is_checked(tmp_path: Path, entries: list[Entry], reason: str) -> None:
    path = tmp_path / "s.tif"
    path.write_bytes(header() + directory(entries, 0))
    assert reason in refusal(path)


@pytest.mark.parametrize("tag", [258, 259, 262, 284, 339])
def test_tags_with_too_many_values_are_damage_and_no_crash(tmp_path: Path, tag: int) -> None:
    path = tmp_path / "s.tif"
    usual = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 273: 200, 277: 1, 278: 64, 279: 100, 284: 1, 339: 1}
    entries = [(name, 3, 2 if name == tag else 1, value * 65537) for name, value in sorted(usual.items())]
    path.write_bytes(header() + directory(entries, 0) + bytes(400))
    reason = refusal(path)
    assert not reason.startswith(("open: TypeError", "open: AttributeError"))


def test_the_same_directories_as_in_tifffile(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    for write in (write_tiled, write_svs, write_ome):
        write(path, marked(1200, 900))
        found = read_directories(os.fsencode(path))
        assert found is not None
        with tifffile.TiffFile(path) as file:
            pages = [page.aspage() for page in file.pages]
            assert [(page.offset, page.width_px, page.height_px, page.is_tiled) for page in found.pages] == [
                (page.offset, page.imagewidth, page.imagelength, page.is_tiled) for page in pages
            ]
            below = [page.offset for page in pages[0].pages or ()]
        assert [page.offset for page in found.pages[0].below] == below
        assert (found.damage, found.is_truncated) == ("", False)


def test_damage_of_any_byte_of_the_directories_is_one_error(tmp_path: Path) -> None:
    """An eighth of the bytes of two directories, set to 0 and 255: the slide is opened or refused."""
    path = tmp_path / "s.tif"
    write_tiled(path, np.full((300, 300, 3), 200, np.uint8), factors=(2,))
    whole = path.read_bytes()
    found = read_directories(os.fsencode(path))
    assert found is not None
    rng = np.random.default_rng(0)
    places = [page.offset + int(at) for page in found.pages for at in rng.choice(190, 25, replace=False)]
    for at in places:
        for value in (0, 255):
            path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            kind_of(os.fsencode(path))
            try:
                slide = open_slide(os.fsencode(path))
            except UnreadableSlide:
                continue
            slide.close()
