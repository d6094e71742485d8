"""DICOM slides of every common encoding and layout, as written by pydicom, keep their pixels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cancernet_cli.data.slides import Slide, UnreadableSlide, open_slide
from cancernet_cli.data.slides.base import BadSlide, slide_readers
from tests.dicom_files import CODECS, CT, write_dicom
from tests.slide_files import levels_of, marked

pytest.importorskip("pydicom")

PICTURE = marked(500, 330)


def read_by_us(path: Path) -> Slide:
    return slide_readers["dicom"].factory().open(os.fsencode(path))


@pytest.mark.parametrize("how", CODECS)
def test_every_encoding_keeps_its_colors(tmp_path: Path, how: str) -> None:
    path = tmp_path / "s.dcm"
    write_dicom(path, PICTURE, how)
    for slide in (read_by_us(path), open_slide(os.fsencode(path))):
        assert (slide.vendor, slide.scale.mpp) == ("dicom", (0.5, 0.5))
        found = slide.read_level(0, -10, -10, 520, 350).astype(int)
        assert (found[:10] == 255).all()
        assert np.abs(found[10:340, 10:510] - PICTURE).mean() < (4 if "JPEG" in how and "YBR_RCT" not in how else 0.01)


def test_a_series_is_a_pyramid_whichever_of_its_files_is_named(tmp_path: Path) -> None:
    levels = [PICTURE, *levels_of(PICTURE, (2, 4))]
    for name, level in zip(("c.dcm", "1.2.3.40", "b"), levels, strict=True):  # named as archives name them
        write_dicom(tmp_path / name, level, "JPEG-LS")
    write_dicom(tmp_path / "a.dcm", PICTURE[:100, :100], flavor="LABEL")
    write_dicom(tmp_path / "other.dcm", PICTURE[:90, :90], series="1.2.4")
    for name in ("a.dcm", "b", "c.dcm"):
        slide = read_by_us(tmp_path / name)
        assert [(level.width_px, level.height_px) for level in slide.levels] == [(500, 330), (250, 165), (125, 82)]
        for i, level in enumerate(levels):
            np.testing.assert_array_equal(slide.read_level(i, 0, 0, level.shape[1], level.shape[0]), level)


def test_tiles_that_are_missing_are_white_and_may_come_in_any_order(tmp_path: Path) -> None:
    write_dicom(tmp_path / "s.dcm", PICTURE, sparse=[7, 0, 2, 5])
    found = read_by_us(tmp_path / "s.dcm").read_level(0, 0, 0, 500, 330)
    np.testing.assert_array_equal(found[:128, :128], PICTURE[:128, :128])
    np.testing.assert_array_equal(found[128:256, 128:256], PICTURE[128:256, 128:256])
    np.testing.assert_array_equal(found[128:256, 384:], PICTURE[128:256, 384:])
    assert (found[:128, 128:256] == 255).all()
    assert (found[256:] == 255).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": CT}, "it is not a slide but a CT Image Storage"),
        ({"flavor": "LABEL"}, "a label or an overview"),
        ({"sparse": [0, 1], "DimensionOrganizationType": "TILED_FULL"}, "it has 2 of 12 tiles"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "3 samples of PALETTE COLOR"),
        ({"BitsAllocated": 32}, "32 bits"),
        ({"TotalPixelMatrixColumns": 2**31 - 1, "TotalPixelMatrixRows": 2**31 - 1}, "it has 12 of"),
        ({"NumberOfFrames": 10**6}, "bytes too short for its pixels"),
    ],
)
def test_why_a_dicom_file_is_no_slide(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    write_dicom(tmp_path / "s.dcm", PICTURE, **changes)
    with pytest.raises(BadSlide) as caught:  # of some, OpenSlide reads what there is
        read_by_us(tmp_path / "s.dcm")
    assert reason in str(caught.value)


def test_damage_anywhere_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "s.dcm"
    write_dicom(path, PICTURE, "JPEG-LS")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(132, 2500, 60).tolist():
        data = bytearray(whole)
        data[at : at + 4] = rng.integers(0, 256, 4, np.uint8).tobytes()
        path.write_bytes(data)
        try:
            slide = open_slide(os.fsencode(path))
            slide.read_level(0, 0, 0, 300, 300)
        except UnreadableSlide:
            continue
    for share in (0.01, 0.3, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UnreadableSlide):
            open_slide(os.fsencode(path)).read_level(0, 0, 0, 500, 330)
