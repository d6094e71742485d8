"""A folder with everything that can be wrong with a folder of images, among good ones."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

from PIL import Image

from tests.he_images import he_like

NOT_UTF8 = b"not \xff utf-8.png"


def build_bad_folder(root: Path) -> dict[str, str]:
    r"""Fill `root`, and give the rows to expect: path in the table (`\xHH` for what is not UTF-8), and ok or failed."""
    root.mkdir(parents=True)
    expected: dict[str, str] = {}

    def put(name: str | bytes, content: bytes, status: str) -> None:
        path = os.path.join(os.fsencode(root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        expected[name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")] = status

    png, jpeg = encoded(1, "PNG"), encoded(2, "JPEG")
    put("benign/good.png", png, "ok")
    put("benign/good.jpg", jpeg, "ok")
    put("malignant/good.tif", encoded(3, "TIFF"), "ok")
    put("malignant/cmyk.jpg", encoded(4, "JPEG", mode="CMYK"), "ok")
    put("one/same.png", encoded(5, "PNG"), "ok")
    put("two/same.png", encoded(6, "PNG"), "ok")
    put("with spaces.png", encoded(7, "PNG"), "ok")
    put("new\nline.png", encoded(8, "PNG"), "ok")
    put("Ünïcode 乳癌.PNG", encoded(9, "PNG"), "ok")
    put("a folder.png/inside.png", encoded(10, "PNG"), "ok")
    try:
        put(NOT_UTF8, encoded(11, "PNG"), "ok")
    except OSError:  # macOS takes no such name
        expected.pop(NOT_UTF8.decode("utf-8", "backslashreplace"), None)

    put("empty.png", b"", "failed")
    put("truncated.png", png[: len(png) // 2], "failed")
    put("truncated.jpg", jpeg[: len(jpeg) // 2], "failed")
    put("text.png", b"not an image at all\n", "failed")
    put("checksum.png", with_wrong_checksum(png), "failed")
    put("bomb.png", bomb(), "failed")
    put("dot.png", encoded(12, "PNG", width_px=1, height_px=1), "failed")
    (root / "dangling.png").symlink_to("gone.png")
    (root / "ring_a.png").symlink_to("ring_b.png")
    (root / "ring_b.png").symlink_to("ring_a.png")
    expected |= dict.fromkeys(("dangling.png", "ring_a.png", "ring_b.png"), "failed")

    # None of these has a row
    (root / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (root / "notes.txt").write_text("remember the staining protocol")
    (root / "loop").symlink_to(".")
    (root / "benign" / "up").symlink_to("..")
    (root / "two" / "across").symlink_to("../one")
    return expected


def encoded(seed: int, kind: str, *, mode: str = "RGB", width_px: int = 120, height_px: int = 90) -> bytes:
    """A good image file's bytes."""
    file = io.BytesIO()
    Image.fromarray(he_like(seed, width_px, height_px)).convert(mode).save(file, kind)
    return file.getvalue()


def with_wrong_checksum(png: bytes) -> bytes:
    """The PNG with one bit of its pixels' checksum turned."""
    at = png.index(b"IDAT")
    crc_at = at + 4 + int.from_bytes(png[at - 4 : at], "big")
    return png[:crc_at] + bytes([png[crc_at] ^ 1]) + png[crc_at + 1 :]


def bomb(side_px: int = 30_000) -> bytes:
    """A valid PNG of about 100 kB that unfolds to `side_px` x `side_px` grey pixels of one bit."""
    row = bytes(1 + (side_px + 7) // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row * 1000) for _ in range(side_px // 1000)) + packer.flush()
    header = struct.pack(">IIBBBBB", side_px, side_px, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
