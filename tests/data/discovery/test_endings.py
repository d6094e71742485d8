"""Endings of files come from the registered readers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cancernet_cli.data.discovery.endings import registered_endings


def test_endings_of_images_of_slides_and_of_both() -> None:
    endings = registered_endings()
    images = "png jpg jpeg jpe jfif jp2 j2k bmp gif webp avif"
    assert set(endings.image) == {b"." + name.encode() for name in images.split()}
    assert set(endings.either) == {b".tif", b".tiff"}
    names = "svs ndpi mrxs scn vms vmu bif svslide dcm czi qptiff btf tf8"
    assert set(endings.slide) == {b"." + name.encode() for name in names.split()}


@pytest.mark.parametrize(("name", "slides", "expected"), [(b"A.PNG", False, True), (b"a.svs", False, False)])
def test_names_match_in_any_case(name: bytes, slides: bool, expected: bool) -> None:
    assert registered_endings().matcher(slides=slides)(name) is expected
    assert registered_endings().matcher(slides=True)(name)


def test_knowing_the_endings_loads_no_slide_library() -> None:
    """Runs on photos start without OpenSlide and tifffile."""
    script = (
        "import sys\n"
        "import cancernet_cli.data.slides\n"
        "from cancernet_cli.data.discovery.endings import registered_endings\n"
        "assert registered_endings().slide\n"
        "print(*{'openslide', 'tifffile'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
