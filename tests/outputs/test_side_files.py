"""Side files stay below their folder and never meet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cancernet_cli.outputs.side_files import side_path

FOLDER = Path("overlays")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (b"a.png", "a.png.jpg"),
        (b"a.jpg", "a.jpg.jpg"),
        (b"x/./y//a.png", "x/y/a.png.jpg"),
        (b"../../etc/a.png", "__parent__/__parent__/etc/a.png.jpg"),
        (b"/etc/a.png", "etc/a.png.jpg"),
        (b"x/..", "x/__parent__.jpg"),
        (b"", "unnamed.jpg"),
        (b"new\nline.png", "new\nline.png.jpg"),
        (b"bad\xff.png", os.fsdecode(b"bad\xff.png.jpg")),
        (b"..png", "..png.jpg"),
    ],
)
def test_mirrors_the_input(location: bytes, expected: str) -> None:
    assert side_path(FOLDER, location, ".jpg") == FOLDER / expected


def test_names_that_become_too_long_are_truncated_and_stay_unique(tmp_path: Path) -> None:
    names = [b"n" * 251 + ending for ending in (b".png", b".jpg")] + ["ü".encode() * 127]
    paths = [side_path(tmp_path, name, ".jpg") for name in names]
    assert len(set(paths)) == 3
    for path in paths:
        path.touch()
        path.name.encode()  # no half characters
