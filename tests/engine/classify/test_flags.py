"""Flags of images, tiles and slides."""

from __future__ import annotations

from typing import Any

import pytest

from cancernet_cli.engine.classify.flags import flags_of, join_flags, novelty_warning, slide_flags, split_flags

NAN = float("nan")
FINE = {"novelty": 0.8, "tissue_fraction": 0.7, "blur": 200.0, "brightness": 230.0}


@pytest.mark.parametrize(
    ("changed", "flags"),
    [
        ({}, ()),
        ({"novelty": 1.0}, ()),
        ({"novelty": 1.01}, ("out_of_domain",)),
        ({"novelty": NAN}, ()),
        ({"blur": 29.9}, ("blurred",)),
        ({"brightness": 80.0}, ("dark",)),
        ({"tissue_fraction": 0.0}, ("no_tissue",)),
        ({"tissue_fraction": 0.0, "blur": 0.0}, ("no_tissue",)),  # nothing to focus on
        ({"novelty": 3.0, "blur": 1.0, "brightness": 9.0}, ("out_of_domain", "blurred", "dark")),
        ({"brightness": 9.0, "of_file": ("damaged", "alpha_ignored")}, ("dark", "alpha_ignored", "damaged")),
    ],
)
def test_of_an_image(changed: dict[str, Any], flags: tuple[str, ...]) -> None:
    assert flags_of(**(FINE | changed)) == flags


def test_a_slide_has_the_flags_of_most_of_its_tiles_and_of_its_plan() -> None:
    tiles = ["out_of_domain,blurred", "out_of_domain", "", None]
    assert slide_flags((), tiles) == "out_of_domain"
    assert slide_flags((), ["out_of_domain", ""]) == ""
    assert slide_flags(("mpp_assumed", "magnified"), tiles) == "out_of_domain,mpp_doubtful,mpp_assumed,magnified"
    assert slide_flags(("no_tissue",)) == "no_tissue"
    assert slide_flags((), ["no_tissue"], ("constant_output",)) == "no_tissue,constant_output"


def test_joined_flags_can_be_split() -> None:
    assert split_flags(join_flags(("a", "b"))) == ["a", "b"]
    assert split_flags("") == []


def test_the_warning_counts_the_files() -> None:
    assert novelty_warning(58, 263) == "58 of 263 files look unlike the training images (flag out_of_domain)"
    assert novelty_warning(1, 1) == "1 of 1 file looks unlike the training images (flag out_of_domain)"
