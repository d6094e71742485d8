"""Layouts of TIFF: alpha, channels, pages, planes, byte order, bits, and caps."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.data.readers.drawn import RGB, failure, read, saved

WIDE = RGB.astype(np.uint16) * 257
HEIGHT, WIDTH = RGB.shape[:2]
CHANNELS = np.ascontiguousarray(np.moveaxis(RGB, 2, 0))
LZW, DEFLATE = "lzw", "zlib"


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    """A page written by tifffile, without its own description unless asked for."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **({"metadata": None} | options))  # type: ignore[arg-type]
    return file.getvalue()


def pages(*parts: tuple[np.ndarray, dict[str, object]], **options: object) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **options) as writer:  # type: ignore[arg-type]
        for pixels, more in parts:
            writer.write(pixels, contiguous=False, **({"metadata": None} | more))  # type: ignore[arg-type]
    return file.getvalue()


def without_tag(data: bytes, tag: int) -> bytes:
    """The same, with a little-endian classic directory's tag under a private number."""
    return data.replace(struct.pack("<H", tag) + b"\3\0", struct.pack("<H", 65100) + b"\3\0", 1)


def assert_is(data: bytes, folder: Path, expected: np.ndarray = RGB, flags: tuple[str, ...] = ()) -> None:
    pixels, found = read(data, folder)
    np.testing.assert_array_equal(pixels, expected)
    assert found == flags


class TestExtraSamples:
    extra = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 1)).astype(np.uint8)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("planar", ["contig", "separate"])
    @pytest.mark.parametrize("compression", [None, LZW])
    def test_unspecified_is_no_alpha(self, dtype: type, planar: str, compression: str | None, tmp_path: Path) -> None:
        samples = np.dstack([RGB, self.extra]).astype(dtype) * (257 if dtype is np.uint16 else 1)
        shaped = np.ascontiguousarray(np.moveaxis(samples, 2, 0)) if planar == "separate" else samples
        data = tiff(
            shaped, photometric="rgb", planarconfig=planar, extrasamples=["unspecified"], compression=compression
        )
        assert_is(data, tmp_path)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_a_sample_that_the_tag_does_not_list_is_no_alpha(self, dtype: type, tmp_path: Path) -> None:
        samples = np.dstack([RGB, self.extra]).astype(dtype) * (257 if dtype is np.uint16 else 1)
        data = without_tag(tiff(samples, photometric="rgb", extrasamples=["unspecified"]), 338)
        assert_is(data, tmp_path)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("kind", ["assocalpha", "unassalpha"])
    def test_alpha_of_0_everywhere_is_ignored(self, kind: str, dtype: type, tmp_path: Path) -> None:
        samples = np.dstack([RGB, self.extra * 0]).astype(dtype) * (257 if dtype is np.uint16 else 1)
        pixels, flags = read(tiff(samples, photometric="rgb", extrasamples=[kind]), tmp_path)
        assert flags == ("alpha_ignored",)
        if kind == "unassalpha":
            np.testing.assert_array_equal(pixels, RGB)

    @pytest.mark.parametrize("kind", ["assocalpha", "unassalpha"])
    def test_16_bits_are_composited_as_8_bits_are(self, kind: str, tmp_path: Path) -> None:
        alpha = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))[..., None]
        colors = RGB if kind == "unassalpha" else np.rint(RGB * (alpha / 255)).astype(np.uint8)
        samples = np.dstack([colors, alpha])
        eight = read(tiff(samples, photometric="rgb", extrasamples=[kind]), tmp_path).pixels
        wide = read(tiff(samples.astype(np.uint16) * 257, photometric="rgb", extrasamples=[kind]), tmp_path).pixels
        np.testing.assert_array_equal(wide, eight)
        expected = np.rint(RGB * (alpha / 255) + 255 - alpha)
        assert np.abs(eight - expected).max() <= 2

    def test_gray_with_an_extra_sample(self, tmp_path: Path) -> None:
        gray = np.repeat(RGB[..., :1], 3, axis=2)
        samples = np.dstack([WIDE[..., 0], self.extra.astype(np.uint16) * 257])
        assert_is(tiff(samples, photometric="minisblack", extrasamples=["unspecified"]), tmp_path, gray)

    def test_alpha_that_is_the_second_extra_sample(self, tmp_path: Path) -> None:
        opaque = np.full_like(WIDE[..., 0], 65535)
        data = tiff(
            np.dstack([WIDE, self.extra * 0, opaque]), photometric="rgb", extrasamples=["unspecified", "unassalpha"]
        )
        assert_is(data, tmp_path)


class TestPages:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("compression", [None, DEFLATE])
    def test_three_gray_pages_are_channels(self, dtype: type, compression: str | None, tmp_path: Path) -> None:
        stack = CHANNELS.astype(dtype) * (257 if dtype is np.uint16 else 1)
        data = tiff(stack, photometric="minisblack", compression=compression)
        assert_is(data, tmp_path)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_an_imagej_composite(self, dtype: type, tmp_path: Path) -> None:
        stack = CHANNELS.astype(dtype) * (257 if dtype is np.uint16 else 1)
        data = tiff(stack, imagej=True, metadata={"axes": "CYX", "mode": "composite"})
        assert_is(data, tmp_path)

    def test_an_imagej_hyperstack_of_slices_and_channels(self, tmp_path: Path) -> None:
        data = tiff(np.stack([CHANNELS, CHANNELS // 2]), imagej=True, metadata={"axes": "ZCYX"})
        assert_is(data, tmp_path, flags=("first_of_several_pages",))

    @pytest.mark.parametrize("axes", ["CYX", "ZCYX", "CZYX", "TCYX"])
    def test_ome_channels(self, axes: str, tmp_path: Path) -> None:
        stack = CHANNELS
        if len(axes) == 4:
            stack = np.stack([CHANNELS, CHANNELS // 2], axis=1 if axes[0] == "C" else 0)
        flags = ("first_of_several_pages",) if len(axes) == 4 else ()
        assert_is(tiff(stack, ome=True, metadata={"axes": axes}, photometric="minisblack"), tmp_path, flags=flags)

    def test_ome_channels_are_sorted_by_name(self, tmp_path: Path) -> None:
        metadata = {"axes": "CYX", "Channel": {"Name": ["Blue", "Green", "Red"]}}
        assert_is(tiff(CHANNELS[::-1].copy(), ome=True, metadata=metadata, photometric="minisblack"), tmp_path)

    def test_ome_channels_of_other_colors_are_refused(self, tmp_path: Path) -> None:
        metadata = {"axes": "CYX", "Channel": {"Color": [0x0000FFFF, 0x00FF00FF, 0x00FFFFFF]}}
        error, message = failure(tiff(CHANNELS, ome=True, metadata=metadata, photometric="minisblack"), tmp_path)
        assert error == "UnsupportedPixels"
        assert message == "its three channels are not red, green and blue; save it as RGB"

    @pytest.mark.parametrize("count", [2, 4, 5])
    @pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True, "photometric": "minisblack"}])
    def test_other_numbers_of_channels_are_refused(
        self, count: int, options: dict[str, object], tmp_path: Path
    ) -> None:
        data = tiff(np.repeat(CHANNELS[:1], count, axis=0), metadata={"axes": "CYX"}, **options)
        assert failure(data, tmp_path) == (
            "UnsupportedPixels",
            f"a stack of {count} channels, not red, green and blue; save it as RGB",
        )

    def test_five_channels_of_one_page_are_refused(self, tmp_path: Path) -> None:
        data = tiff(np.dstack([RGB, RGB])[..., :5].copy(), photometric="minisblack", planarconfig="contig")
        error, message = failure(data, tmp_path)
        assert (error, message) == ("UnsupportedPixels", "5 channels, not red, green and blue; save it as RGB")

    @pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}, {"photometric": "rgb"}])
    def test_a_stack_gives_its_first_page(self, options: dict[str, object], tmp_path: Path) -> None:
        stack = np.stack([RGB, 255 - RGB, RGB // 2])
        metadata = {"axes": "ZYXS"} if "photometric" not in options else None
        assert_is(tiff(stack, metadata=metadata, **options), tmp_path, flags=("first_of_several_pages",))

    def test_a_gray_z_stack_is_not_three_channels(self, tmp_path: Path) -> None:
        gray = np.repeat(RGB[..., :1], 3, axis=2)
        data = tiff(CHANNELS, imagej=True, metadata={"axes": "ZYX"})
        assert_is(data, tmp_path, gray, flags=("first_of_several_pages",))

    @pytest.mark.parametrize(
        "first",
        [
            (RGB[::2, ::2].copy(), {"photometric": "rgb", "subfiletype": 1}),
            (RGB[::2, ::2].copy(), {"photometric": "rgb"}),
            (RGB[::3, ::2].copy(), {"photometric": "rgb", "subfiletype": 9}),
            (np.zeros((HEIGHT, WIDTH), bool), {"photometric": "mask", "subfiletype": 4}),
            (np.zeros((2 * HEIGHT, WIDTH, 3), np.uint8), {"photometric": "rgb", "description": "label 64x96"}),
        ],
        ids=["reduced", "smaller", "macro", "mask", "label"],
    )
    def test_thumbnails_masks_and_labels_are_passed_over(
        self, first: tuple[np.ndarray, dict[str, object]], tmp_path: Path
    ) -> None:
        assert_is(pages(first, (RGB, {"photometric": "rgb"})), tmp_path)
        assert_is(pages((RGB, {"photometric": "rgb"}), first), tmp_path)
        assert_is(pages(first, (RGB, {"photometric": "rgb"}), bigtiff=True), tmp_path)

    def test_a_preview_whose_image_is_below_it(self, tmp_path: Path) -> None:
        preview = (RGB[::2, ::2].copy(), {"photometric": "rgb", "subfiletype": 1, "subifds": 1})
        assert_is(pages(preview, (RGB, {"photometric": "rgb"})), tmp_path)

    def test_a_loop_of_directories_ends(self, tmp_path: Path) -> None:
        data = bytearray(pages((RGB, {"photometric": "rgb"}), (RGB, {"photometric": "rgb"})))
        with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
            first, second = (page.offset for page in file.pages)
        tags = struct.unpack_from("<H", data, second)[0]
        struct.pack_into("<I", data, second + 2 + 12 * tags, first)
        assert_is(bytes(data), tmp_path, flags=("first_of_several_pages",))


class TestLayouts:
    @pytest.mark.parametrize("byteorder", ["<", ">"])
    @pytest.mark.parametrize("bigtiff", [False, True])
    @pytest.mark.parametrize("pixels", [RGB, WIDE, WIDE[..., 0]], ids=["rgb8", "rgb16", "gray16"])
    def test_byte_orders(self, byteorder: str, bigtiff: bool, pixels: np.ndarray, tmp_path: Path) -> None:
        expected = RGB if pixels.ndim == 3 else np.repeat(RGB[..., :1], 3, axis=2)
        for compression in (None, LZW):
            assert_is(tiff(pixels, byteorder=byteorder, bigtiff=bigtiff, compression=compression), tmp_path, expected)

    @pytest.mark.parametrize("compression", [None, LZW, DEFLATE, "packbits"])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("tile", [None, (16, 16)])
    def test_planes(self, compression: str | None, dtype: type, tile: tuple[int, int] | None, tmp_path: Path) -> None:
        stack = CHANNELS.astype(dtype) * (257 if dtype is np.uint16 else 1)
        data = tiff(stack, photometric="rgb", planarconfig="separate", compression=compression, tile=tile)
        assert_is(data, tmp_path)

    @pytest.mark.parametrize("pixels", [RGB, WIDE, WIDE[..., 0]], ids=["rgb8", "rgb16", "gray16"])
    def test_void_sample_format(self, pixels: np.ndarray, tmp_path: Path) -> None:
        many = 3 if pixels.ndim == 3 else 1
        data = tiff(pixels, extratags=[(339, 3, many, (4,) * many if many > 1 else 4, True)])
        assert_is(data, tmp_path, RGB if many == 3 else np.repeat(RGB[..., :1], 3, axis=2))

    @pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float32, np.uint32])
    def test_other_numbers_are_named(self, dtype: type, tmp_path: Path) -> None:
        error, message = failure(tiff(np.zeros((20, 20), dtype)), tmp_path)
        assert error == "UnsupportedPixels"
        kind = {"i": "signed", "f": "floating-point", "u": "unsigned"}[np.dtype(dtype).kind]
        assert f"{np.dtype(dtype).itemsize * 8}-bit {kind}" in message

    @pytest.mark.parametrize("pixels", [RGB, WIDE, RGB[..., 0], WIDE[..., 0]])
    def test_a_missing_photometric(self, pixels: np.ndarray, tmp_path: Path) -> None:
        expected = RGB if pixels.ndim == 3 else np.repeat(RGB[..., :1], 3, axis=2)
        assert_is(without_tag(tiff(pixels), 262), tmp_path, expected)

    @pytest.mark.parametrize("bits", [10, 12, 14])
    def test_the_largest_sample_value_is_the_range(self, bits: int, tmp_path: Path) -> None:
        top = 2**bits - 1
        stored = np.rint(RGB / 255 * top).astype(np.uint16)
        data = tiff(stored, photometric="rgb", extratags=[(281, 3, 3, (top,) * 3, True)])
        assert_is(data, tmp_path)
        assert read(tiff(stored, photometric="rgb"), tmp_path).pixels.max() < 70  # dark, and flagged by its brightness
        gray = tiff(stored[..., 0].copy(), extratags=[(281, 3, 1, top, True)])
        assert_is(gray, tmp_path, np.repeat(RGB[..., :1], 3, axis=2))

    def test_a_largest_sample_value_that_is_exceeded_is_no_range(self, tmp_path: Path) -> None:
        assert_is(tiff(WIDE, photometric="rgb", extratags=[(281, 3, 3, (4095,) * 3, True)]), tmp_path)

    @pytest.mark.parametrize(("across", "down"), [(2, 2), (2, 1), (1, 2), (4, 2), (1, 1)])
    @pytest.mark.parametrize("rows", [HEIGHT, 8])
    def test_raw_ycbcr(self, across: int, down: int, rows: int, tmp_path: Path) -> None:
        data = raw_ycbcr(across, down, rows)
        pixels = read(data, tmp_path).pixels
        assert np.abs(pixels.astype(int) - smooth()).mean() < 4
        assert failure(data[:-40], tmp_path)[0] == "TruncatedImage"

    def test_16_bit_cmyk(self, tmp_path: Path) -> None:
        cmyk = np.asarray(Image.fromarray(RGB).convert("CMYK"))
        expected = read(tiff(cmyk, photometric="separated"), tmp_path).pixels
        assert_is(tiff(cmyk.astype(np.uint16) * 257, photometric="separated"), tmp_path, expected)

    @pytest.mark.parametrize("subsampling", [0, 1, 2])
    def test_jpeg_tiles_sampled_in_another_way_than_the_directory_says(self, subsampling: int, tmp_path: Path) -> None:
        pixels = read(jpeg_tiles(subsampling), tmp_path).pixels
        assert np.abs(pixels.astype(int) - RGB[:32]).mean() < 6

    def test_damage_in_such_tiles_is_no_picture(self, tmp_path: Path) -> None:
        assert failure(jpeg_tiles(1, cut=80), tmp_path)[0] == "ValueError"


class TestCaps:
    @pytest.mark.parametrize("compression", ["jpeg2000", "jpegxr", "webp", "jpegxl", "png"])
    def test_a_larger_image_inside_is_refused(self, compression: str, tmp_path: Path) -> None:
        data = bytearray(
            tiff(np.zeros((480, 640, 3), np.uint8), photometric="rgb", compression=compression, rowsperstrip=480)
        )
        with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
            tags = file.pages.first.tags
            sides = {tag: tags[tag].valueoffset for tag in (256, 257, 278)}
            kinds = {tag: tags[tag].dtype for tag in sides}
        for tag, at in sides.items():
            struct.pack_into("<H" if kinds[tag] == 3 else "<I", data, at, 64)
        error, message = failure(bytes(data), tmp_path)
        assert (error, message) == ("Contradiction", "strip or tile 0 holds 640 x 480 pixels, more than 64 x 64")

    @pytest.mark.parametrize("tile", [(2**31 - 1, 64), (0, 64), (8192, 8192)])
    def test_tiles_much_larger_than_the_image(self, tile: tuple[int, int], tmp_path: Path) -> None:
        data = bytearray(tiff(RGB, photometric="rgb", tile=(16, 16), compression=LZW))
        with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
            for tag, side in zip((322, 323), tile, strict=True):
                found = file.pages.first.tags[tag]
                struct.pack_into("<H", data, found.offset + 2, 4)  # LONG
                struct.pack_into("<I", data, found.offset + 8, side)
        assert failure(bytes(data), tmp_path)[0] == "Contradiction"

    def test_strips_that_are_not_listed(self, tmp_path: Path) -> None:
        data = bytearray(tiff(RGB, photometric="rgb", compression=LZW))
        with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
            found = file.pages.first.tags[257]
        struct.pack_into("<HII", data, found.offset + 2, 4, 1, 10**6)
        error, message = failure(bytes(data), tmp_path)
        assert error in ("TruncatedImage", "TooManyPixels")
        assert message

    def test_a_size_that_is_stated_twice(self, tmp_path: Path) -> None:
        data = without_tag(tiff(RGB, photometric="rgb"), 258)
        again = data.replace(struct.pack("<H", 65100) + b"\3\0", struct.pack("<H", 256) + b"\3\0", 1)
        assert failure(again, tmp_path) == ("Contradiction", "its directory has tag 256 twice")

    @pytest.mark.parametrize("size", range(4, 200, 7))
    def test_a_directory_that_is_cut_off(self, size: int, tmp_path: Path) -> None:
        assert failure(tiff(RGB, photometric="rgb")[:size], tmp_path)[0] == "TruncatedImage"


def jpeg_tiles(subsampling: int, cut: int = 0) -> bytes:
    """Two JPEG tiles of 32 x 32 pixels, as Bio-Formats writes them, less some bytes of the last."""
    options = {"photometric": "rgb", "tile": (32, 32), "compression": "jpeg"}
    data = tiff(np.random.default_rng(0).integers(0, 256, (32, 64, 3)).astype(np.uint8), **options)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages.first.tags
        places, lengths = tags["TileOffsets"].valueoffset, tags["TileByteCounts"].valueoffset
        code = "<H" if tags["TileByteCounts"].dtype == 3 else "<I"
    new = bytearray(data)
    for index in range(2):
        tile = saved(RGB[:32, 32 * index : 32 * index + 32].copy(), "JPEG", quality=95, subsampling=subsampling)
        tile = tile[: len(tile) - cut * index]
        struct.pack_into("<I", new, places + 4 * index, len(new))
        struct.pack_into(code, new, lengths + struct.calcsize(code) * index, len(tile))
        new += tile
    return bytes(new)


def smooth() -> np.ndarray:
    """Colors that subsampling hardly changes."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.dstack([150 + x, 90 + y, 200 - x]).astype(np.uint8)


def raw_ycbcr(across: int, down: int, rows: int) -> bytes:
    """Uncompressed YCbCr, the colors of each block of pixels averaged; TIFF 6.0, section 21."""
    ycc = np.asarray(Image.fromarray(smooth()).convert("YCbCr"))
    blocks = ycc.reshape(HEIGHT // down, down, WIDTH // across, across, 3).swapaxes(1, 2)
    bright = blocks[..., 0].reshape(*blocks.shape[:2], -1)
    colors = np.rint(blocks[..., 1:].mean(axis=(2, 3))).astype(np.uint8)
    strips = np.concatenate([bright, colors], axis=2).reshape(HEIGHT // rows, -1)
    file = io.BytesIO()
    data = [strip.tobytes() for strip in strips]
    at = 8 + 2 + 12 * 11 + 4
    tables = at + 6 + 8 * len(data)
    starts = [tables + sum(map(len, data[:i])) for i in range(len(data))]
    file.write(b"II*\0\x08\0\0\0" + struct.pack("<H", 11))
    many = len(data)
    for tag, kind, count, value in [
        (256, 4, 1, WIDTH),
        (257, 4, 1, HEIGHT),
        (258, 3, 3, at),
        (259, 3, 1, 1),
        (262, 3, 1, 6),
        (273, 4, many, at + 6 if many > 1 else starts[0]),
        (277, 3, 1, 3),
        (278, 4, 1, rows),
        (279, 4, many, at + 6 + 4 * many if many > 1 else len(data[0])),
        (284, 3, 1, 1),
        (530, 3, 2, across | down << 16),
    ]:
        file.write(struct.pack("<HHII", tag, kind, count, value))
    file.write(b"\0\0\0\0" + struct.pack("<HHH", 8, 8, 8))
    file.write(struct.pack(f"<{many}I", *starts) + struct.pack(f"<{many}I", *map(len, data)))
    return file.getvalue() + b"".join(data)
