"""Endings of files come from the registered readers."""

from __future__ import annotations

import pytest

from cancernet_cli.data.discovery.endings import registered_endings


def test_endings_of_images_of_slides_and_of_both() -> None:
    endings = registered_endings()
    assert set(endings.image) == {b".png", b".jpg", b".jpeg", b".jpe", b".bmp", b".webp"}
    assert set(endings.either) == {b".tif", b".tiff"}
    names = "svs ndpi mrxs scn vms vmu bif svslide dcm czi btf tf8"
    assert set(endings.slide) == {b"." + name.encode() for name in names.split()}


@pytest.mark.parametrize(("name", "slides", "expected"), [(b"A.PNG", False, True), (b"a.svs", False, False)])
def test_names_match_in_any_case(name: bytes, slides: bool, expected: bool) -> None:
    assert registered_endings().matcher(slides=slides)(name) is expected
    assert registered_endings().matcher(slides=True)(name)
