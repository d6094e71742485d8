"""Draw small sound files of every format that CancerNet reads, and damage them as disks, networks and bugs do."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

Rng = random.Random
INTERESTING = [0, 1, 2, 3, 7, 8, 16, 0x7F, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
TAGS = [256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 322, 323, 324, 325, 330, 338, 339, 347, 530]
SOUND_EVERY = 20  # one file of so many is sound


def tissue(width: int, height: int, seed: int) -> np.ndarray:
    """Pixels `[H, W, 3]` uint8 with the colors of stained tissue."""
    rng = np.random.default_rng(seed)
    rough = Image.fromarray(rng.integers(0, 256, (height // 8 + 2, width // 8 + 2), np.uint8))
    a = np.asarray(rough.resize((width, height), Image.Resampling.BICUBIC), np.float32)[..., None] / 255
    return (np.array([120, 60, 130]) + np.array([120, 150, 90]) * a).astype(np.uint8)


def sound_files() -> dict[str, bytes]:
    """Sound files by name."""
    rgb, gray = tissue(96, 80, 1), tissue(64, 64, 2)[..., 0]
    deep, small = rgb.astype(np.uint16) * 257, tissue(48, 48, 3)
    found = {
        "rgb.png": _saved(rgb, "PNG"),
        "gray.png": _saved(gray, "PNG"),
        "palette.png": _saved(Image.fromarray(rgb).quantize(16), "PNG"),
        "alpha.png": _saved(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]), "PNG"),
        "deep.png": bytes(imagecodecs.png_encode(deep)),
        "baseline.jpg": _saved(rgb, "JPEG", quality=80),
        "progressive.jpg": _saved(rgb, "JPEG", progressive=True),
        "gray.jpg": _saved(gray, "JPEG"),
        "cmyk.jpg": _saved(Image.fromarray(rgb).convert("CMYK"), "JPEG"),
        "plain.bmp": _saved(rgb, "BMP"),
        "lossy.webp": _saved(rgb, "WEBP"),
        "lossless.webp": _saved(rgb, "WEBP", lossless=True),
        "deep.tif": _tiff(deep, photometric="rgb"),
        "planar.tif": _tiff(np.moveaxis(rgb, 2, 0), photometric="rgb", planarconfig="separate"),
        "big_endian.tif": _tiff(rgb, photometric="rgb", byteorder=">"),
        "big.tif": _tiff(rgb, photometric="rgb", bigtiff=True),
        "bilevel.tif": _saved(Image.fromarray(gray).convert("1"), "TIFF", compression="group4"),
        "pages.tif": _tiff(np.stack([small, small[::-1]]), photometric="rgb"),
    }
    for compression in (None, "lzw", "deflate", "packbits", "jpeg", "zstd", "webp", "jpeg2000"):
        name = compression or "raw"
        found[f"{name}.tif"] = _tiff(small, photometric="rgb", compression=compression)
        if compression != "packbits":
            found[f"pyramid_{name}.tif"] = _pyramid(tissue(200, 160, 5), compression)
            found[f"{name}.ome.tif"] = _ome(tissue(192, 160, 6), compression)
    found["aperio.svs"] = _aperio(tissue(256, 192, 9))
    return found


def damaged(content: bytes, rng: Rng, others: list[bytes]) -> bytes:
    """The content after one to three damages, different from what it was."""
    found = content
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        damage = rng.choices((_by_format, _flip, _cut, _number, _block), (35, 20, 12, 13, 10))[0]
        found = damage(found, rng) if rng.random() < 0.9 else _splice(found, rng, rng.choice(others))
    return found if found != content else _flip(content, rng)


def write_files(folder: Path, count: int, seed: int) -> Iterator[tuple[str, str | None]]:
    """Write `count` files into subfolders; yields each path below `folder`, and the sound file it equals, if any."""
    rng, sound = Rng(seed), sound_files()
    names, contents = sorted(sound), [sound[name] for name in sorted(sound)]
    for number in range(count):
        name = rng.choice(names)
        is_sound = number % SOUND_EVERY == 0
        content = sound[name] if is_sound else damaged(sound[name], rng, contents)
        path = folder / f"{number % 10}" / f"{number:06d}_{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        yield path.relative_to(folder).as_posix(), name if is_sound else None


def _saved(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(file, kind, **options)
    return file.getvalue()


def _tiff(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


def _pyramid(pixels: np.ndarray, compression: str | None) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for level in range(3):
            shrunk = np.ascontiguousarray(pixels[:: 2**level, :: 2**level])
            options: dict[str, Any] = {"tile": (64, 64), "compression": compression, "photometric": "rgb"}
            scale = 20_000 / 2**level
            writer.write(
                shrunk, subfiletype=level > 0, resolution=(scale, scale), resolutionunit=3, metadata=None, **options
            )
    return file.getvalue()


def _ome(pixels: np.ndarray, compression: str | None) -> bytes:
    file = io.BytesIO()
    options: dict[str, Any] = {"tile": (32, 32), "compression": compression, "photometric": "rgb"}
    with tifffile.TiffWriter(file, ome=True) as writer:
        writer.write(pixels, subifds=1, metadata={"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}, **options)
        writer.write(np.ascontiguousarray(pixels[::2, ::2]), subfiletype=1, **options)
    return file.getvalue()


def _aperio(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    about = "Aperio Image Library v11.2.1\r\n256x192 [0,0 256x192] (64x64) JPEG/RGB Q=70|AppMag = 20|MPP = 0.4990"
    with tifffile.TiffWriter(file) as writer:
        options: dict[str, Any] = {"compression": "jpeg", "photometric": "rgb", "metadata": None}
        writer.write(pixels, tile=(64, 64), description=about, **options)
        thumbnail = np.ascontiguousarray(pixels[::4, ::4])
        writer.write(thumbnail, rowsperstrip=16, description="Aperio Image Library\r\n256x192 -> 64x48 - ", **options)
        writer.write(np.ascontiguousarray(pixels[::2, ::2]), tile=(64, 64), description=about, **options)
    return file.getvalue()


def _flip(content: bytes, rng: Rng) -> bytes:
    found = bytearray(content or b"\0")
    for _ in range(rng.choice([1, 1, 2, 4, 16, 64])):
        at = rng.randrange(len(found)) if rng.random() < 0.5 else rng.randrange(min(len(found), 256))
        found[at] ^= 1 << rng.randrange(8)
    return bytes(found)


def _cut(content: bytes, rng: Rng) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _splice(content: bytes, rng: Rng, other: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other)) :]


def _number(content: bytes, rng: Rng) -> bytes:
    """Another number somewhere, more often near the beginning."""
    found = bytearray(content or b"\0")
    at = rng.randrange(min(len(found), 512) if rng.random() < 0.6 else len(found))
    size = rng.choice([1, 2, 4])
    value = rng.choice(INTERESTING) & (2 ** (8 * size) - 1)
    found[at : at + size] = value.to_bytes(size, rng.choice(["little", "big"]))
    return bytes(found)


def _block(content: bytes, rng: Rng) -> bytes:
    """A block that is missing, repeated, zero, or noise."""
    at, size = rng.randrange(len(content) + 1), rng.choice([1, 4, 16, 256, 1024])
    block = content[at : at + size]
    new = rng.choice([b"", block * rng.choice([2, 3, 50]), bytes(size), rng.randbytes(size)])
    return content[:at] + new + content[at + size :]


def _by_format(content: bytes, rng: Rng) -> bytes:
    """Damage that keeps the container intact, so that it reaches what is inside."""
    kinds: dict[bytes, Callable[[bytes, Rng], bytes]] = {b"II": _tiff_entry, b"MM": _tiff_entry, b"\x89P": _png_chunk}
    kinds[b"\xff\xd8"] = _jpeg_segment
    try:
        return kinds.get(content[:2], _number)(content, rng)
    except (struct.error, IndexError, ValueError, zlib.error):  # damaged too much before
        return _flip(content, rng)


def _tiff_entry(content: bytes, rng: Rng) -> bytes:
    """An entry of a directory with another tag, type, count or value, or another link between directories."""
    order = "<" if content[:2] == b"II" else ">"
    big = 43 in content[2:4]
    long, head, size = ("Q", 8, 20) if big else ("I", 2, 12)
    places: list[int] = []
    at = struct.unpack_from(order + long, content, 8 if big else 4)[0]
    while at and at not in places and len(places) < 20:
        places.append(at)
        count = struct.unpack_from(order + ("Q" if big else "H"), content, at)[0]
        at = struct.unpack_from(order + long, content, at + head + count * size)[0]
    found = bytearray(content)
    at = rng.choice(places)
    count = struct.unpack_from(order + ("Q" if big else "H"), content, at)[0]
    entry = at + head + rng.randrange(count) * size
    what = rng.randrange(5)
    if what == 0:
        struct.pack_into(order + "H", found, entry, rng.choice([*TAGS, rng.randrange(65536)]))
    elif what == 1:
        struct.pack_into(order + "H", found, entry + 2, rng.randrange(20))
    elif what == 2:
        struct.pack_into(order + long, found, entry + 4, rng.choice(INTERESTING))
    elif what == 3:
        value = rng.choice([*INTERESTING, at, len(content) - 1])
        struct.pack_into(order + long, found, entry + size - (8 if big else 4), value)
    else:
        struct.pack_into(order + long, found, at + head + count * size, rng.choice([*places, *INTERESTING]))
    return bytes(found)


def _png_chunk(content: bytes, rng: Rng) -> bytes:
    """A chunk changed, repeated, missing or renamed, with a checksum that is right."""
    at, chunks = 8, []
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    place, what = rng.randrange(len(chunks)), rng.randrange(5)
    name, data = chunks[place]
    if what == 0:
        chunks[0] = (chunks[0][0], _number(chunks[0][1], rng))
    elif what == 1:
        chunks[place] = (name, _flip(data, rng))
    elif what == 2:
        chunks.insert(place, rng.choice(chunks))
    elif what == 3:
        del chunks[place]
    else:
        chunks[place] = (rng.choice([b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"acTL", b"IEND", b"zTXt", b"IDAT"]), data)
    parts = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return content[:8] + b"".join(parts)


def _jpeg_segment(content: bytes, rng: Rng) -> bytes:
    """A segment before the pixels changed, repeated, missing, or of another kind."""
    at, segments = 2, []
    while content[at] == 0xFF and content[at + 1] != 0xDA:
        size = int.from_bytes(content[at + 2 : at + 4], "big")
        segments.append((content[at + 1], content[at + 4 : at + 2 + size]))
        at += 2 + size
    place, what = rng.randrange(len(segments)), rng.randrange(4)
    kind, data = segments[place]
    if what == 0:
        segments[place] = (kind, rng.choice([_flip, _number])(data, rng))
    elif what == 1:
        segments.insert(place, rng.choice(segments))
    elif what == 2:
        del segments[place]
    else:
        segments[place] = (rng.choice([0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xDB, 0xDD, 0xE0, 0xEE]), data)
    parts = (bytes([0xFF, k]) + struct.pack(">H", (len(d) + 2) & 0xFFFF) + d for k, d in segments)
    return content[:2] + b"".join(parts) + content[at:]
