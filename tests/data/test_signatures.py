"""File signatures."""

from __future__ import annotations

import pytest

from cancernet_cli.data.signatures import DICOM, TIFF, has_signature


@pytest.mark.parametrize(
    ("head", "signatures", "expected"),
    [
        (b"II*\0more", TIFF, True),
        (b"MM\0+", TIFF, True),
        (b"II*", TIFF, False),
        (b"", TIFF, False),
        (bytes(range(128)) + b"DICM", [DICOM], True),
        (bytes(128) + b"DICN", [DICOM], False),
        (b"RIFF\1\2\3\4WEBP", [b"RIFF????WEBP"], True),
        (b"anything", [], False),
    ],
)
def test_a_head_matches_with_wildcards_and_in_full(head: bytes, signatures: list[bytes], expected: bool) -> None:
    assert has_signature(head, signatures) is expected
