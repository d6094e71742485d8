"""File signatures: the bytes that files of a format begin with."""

from __future__ import annotations

from collections.abc import Iterable

# "?" matches any byte.
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # TIFF and BigTIFF, both byte orders
DICOM = b"?" * 128 + b"DICM"  # PS3.10, section 7.1
ZEISS_CZI = b"ZISRAWFILE"


def has_signature(head: bytes, signatures: Iterable[bytes]) -> bool:
    """Whether the first bytes of a file match one of the signatures; False if they are fewer."""
    return any(
        len(head) >= len(signature) and all(s in (h, ord("?")) for h, s in zip(head, signature, strict=False))
        for signature in signatures
    )
