"""Decode JPEGs strictly: libjpeg-turbo fills what is missing with gray, and only warns."""

from __future__ import annotations

import re

import simplejpeg

from cancernet_cli.data.readers.base import DAMAGED, FlaggedPixels

_END = b"\xff\xd9"
_READ_AHEAD = 64  # bytes, at most
_ROUNDS = 4  # the decoder has read some of the stray bytes ahead, and does not count them
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")


def decode_strictly(data: bytes, colors: str = "RGB", **sides: int) -> FlaggedPixels:
    """The pixels of a JPEG, of which each could be decoded.

    A file that is whole apart from its end is repaired first, and has to pass the same strict decoder.

    Args:
        colors: of the result, as simplejpeg names them. sides: simplejpeg's `min_width` and `min_height`.

    Raises:
        ValueError: it is truncated or damaged (`is_damage`), or of a kind that simplejpeg does not decode.
    """
    try:
        return FlaggedPixels(simplejpeg.decode_jpeg(data, colors, strict=True, **sides))
    except ValueError as error:
        repaired, problem = data, str(error)
        for _ in range(_ROUNDS):
            repaired = _repaired(repaired, problem)
            try:
                return FlaggedPixels(simplejpeg.decode_jpeg(repaired, colors, strict=True, **sides), (DAMAGED,))
            except ValueError as next_error:
                problem = str(next_error)
        raise


def is_damage(error: ValueError) -> bool:
    """Whether the decoder met damage, not a kind of JPEG that it does not support."""
    return any(word in str(error) for word in ("Corrupt", "Premature"))


def check_part(data: bytes, tables: bytes, samples: int) -> tuple[str, ...]:
    """Check a JPEG strip or tile of a TIFF, of which the tables may be stored apart; returns its flags.

    Raises:
        ValueError: it is truncated or damaged.
    """
    if data[:2] != b"\xff\xd8":
        return ()
    whole = tables[: tables.rfind(_END)] + data[2:] if tables else data
    try:
        return decode_strictly(whole, "CMYK" if samples == 4 else "RGB").flags
    except ValueError as error:
        if is_damage(error):
            raise
        return ()


def _repaired(data: bytes, problem: str) -> bytes:
    """The file without the stray bytes that the decoder met before the end marker, or with a missing end marker.

    Zeros of which some were decoded, to gray, are no stray bytes: they take the place of what was lost.
    """
    if found := _EXTRANEOUS.search(problem):
        end, stray = data.rfind(_END), int(found[1])
        zeros = end - len(data[: max(0, end)].rstrip(b"\0"))
        return data if zeros > stray + _READ_AHEAD else data[: max(0, end - stray)] + data[end:]
    return data + _END if "Premature end of JPEG file" in problem else data
