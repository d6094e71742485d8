import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.morphology import remove_small_holes, remove_small_objects

from cancernet_cli.data.slides import open_slide
from cancernet_cli.data.slides.thumbnail import make_thumbnail
from cancernet_cli.data.tiles import tissue as tissue_module
from cancernet_cli.data.tiles.tissue import TissueRule, _pieces, find_tissue, pen_marks
from tests.slide_files import GLASS, real_slide

MPP = 8.0
PINK, PURPLE, DEEP = (222, 150, 190), (150, 90, 170), (90, 50, 120)


def glass(width: int = 400, height: int = 300, colour: tuple[int, int, int] = GLASS) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def noisy(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture + np.random.default_rng(0).normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def mask_of(picture: np.ndarray, **options: object) -> np.ndarray:
    return find_tissue(noisy(picture), downsample=16, mpp=MPP, **options).mask  # type: ignore[arg-type]


def agreement(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("colour", [PINK, PURPLE, DEEP, (232, 200, 220)])
@pytest.mark.parametrize("light", [GLASS, (250, 250, 250), (225, 238, 218), (238, 232, 214)])
def test_stained_pieces_are_found_on_glass_of_any_tint(
    colour: tuple[int, int, int], light: tuple[int, int, int]
) -> None:
    picture, truth = glass(colour=light), np.zeros((300, 400), np.uint8)
    cv2.ellipse(picture, (150, 150), (90, 60), 20, 0, 360, colour, -1)
    cv2.ellipse(truth, (150, 150), (90, 60), 20, 0, 360, 1, -1)
    assert agreement(mask_of(picture), truth > 0) > 0.93


def test_pale_stroma_beside_deep_nuclei_is_tissue() -> None:
    picture = glass()
    picture[50:250, 50:200] = (232, 195, 218)
    picture[50:250, 200:350] = DEEP
    found = mask_of(picture)
    assert found[60:240, 60:340].mean() > 0.99
    assert found[:, :40].mean() < 0.01


def test_bare_glass_has_no_tissue() -> None:
    for colour in (GLASS, (255, 255, 255), (225, 238, 218)):
        found = find_tissue(noisy(glass(colour=colour)), downsample=16, mpp=MPP)
        assert not found.mask.any()
        assert found.area_mm2 == 0


def test_a_field_full_of_tissue_is_all_tissue() -> None:
    picture = glass(colour=PINK)
    for i in range(0, 400, 12):
        cv2.circle(picture, (i, (i * 37) % 300), 5, PURPLE, -1)
    assert mask_of(picture).mean() > 0.99


def test_specks_go_small_holes_are_filled_and_large_ones_stay() -> None:
    picture = glass()
    picture[40:260, 40:260] = PINK
    picture[60:72, 60:72] = GLASS  # 12 x 12 at 8 um: 9,216 um2
    picture[120:240, 120:240] = GLASS
    picture[100:112, 320:332] = PINK  # 9,216 um2
    found = mask_of(picture)
    assert found[60:72, 60:72].all()
    assert not found[130:230, 130:230].any()
    assert not found[:, 300:].any()
    kept = mask_of(picture, rule=TissueRule(min_area_um2=5_000, max_hole_um2=1_000, join_um=0))
    assert kept[104:108, 324:328].all()
    assert not kept[64:68, 64:68].any()


@pytest.mark.parametrize(
    "ink", [(40, 140, 70), (20, 90, 50), (40, 80, 190), (60, 120, 210), (200, 40, 50), (35, 35, 40), (70, 68, 72)]
)
def test_pens_are_found_and_are_no_tissue(ink: tuple[int, int, int]) -> None:
    picture = glass()
    picture[60:240, 40:200] = PINK
    cv2.line(picture, (300, 20), (300, 280), ink, 14)
    cv2.line(picture, (120, 100), (180, 100), ink, 14)  # across the tissue
    found = find_tissue(noisy(picture), downsample=16, mpp=MPP)
    assert found.pen[30:270, 296:304].all()
    assert found.pen[98:102, 125:175].all()
    assert not found.mask[:, 280:].any()
    assert not (found.mask & found.pen).any()
    assert found.mask[150:230, 50:190].all()


@pytest.mark.parametrize("colour", [PINK, PURPLE, DEEP, (70, 40, 110), (190, 60, 95), (120, 100, 170), (235, 90, 140)])
def test_stains_are_no_pens(colour: tuple[int, int, int]) -> None:
    picture = glass()
    picture[60:240, 40:200] = colour
    assert not pen_marks(noisy(picture), mpp=MPP).any()


def test_the_black_outside_of_a_scan_is_neither_tissue_nor_does_it_hide_any() -> None:
    picture = glass()
    picture[:, :100] = 0
    picture[60:240, 150:300] = PINK
    found = find_tissue(picture, downsample=16, mpp=MPP)
    assert not found.mask[:, :98].any()
    assert found.mask[70:230, 160:290].all()


def test_none_takes_everything() -> None:
    found = find_tissue(glass(), downsample=16, mpp=MPP, method="none")
    assert found.mask.all()
    assert not found.pen.any()


def test_the_area_is_in_square_millimetres() -> None:
    picture = glass()
    picture[50:250, 50:300] = PURPLE
    found = find_tissue(picture, downsample=16, mpp=MPP)
    assert found.area_mm2 == pytest.approx(200 * 250 * 64e-6, rel=0.02)


def test_the_real_slides_tissue_is_where_a_person_sees_it() -> None:
    slide = open_slide(str(real_slide()).encode())
    thumbnail = make_thumbnail(slide, downsample=6)
    assert thumbnail.downsample == 6
    found = find_tissue(thumbnail.pixels, downsample=6, mpp=6 * 0.499)
    for x, y in ((1000, 1200), (760, 2500), (1300, 2600)):  # dermis, epidermis
        assert found.mask[y // 6, x // 6]
    for x, y in ((200, 400), (300, 2000), (2000, 500), (2100, 2800)):
        assert not found.mask[y // 6, x // 6]
    assert 0.2 < found.mask.mean() < 0.5
    assert not found.pen.any()


def test_a_thumbnail_is_the_mean_over_whole_squares(tmp_path: Path) -> None:
    from tests.slide_files import marked, write_tiled

    picture = marked(1003, 709)
    write_tiled(tmp_path / "s.tif", picture, factors=())
    found = make_thumbnail(open_slide(str(tmp_path / "s.tif").encode()), downsample=7.4)
    assert found.downsample == 7
    assert found.pixels.shape == (102, 144, 3)
    inside = picture[:707, :1001].reshape(101, 7, 143, 7, 3).mean(axis=(1, 3))
    assert np.abs(found.pixels[:101, :143] - inside).max() <= 0.5 + 1e-6
    assert not found.unreadable.any()


@pytest.mark.parametrize(("connectivity", "theirs"), [(8, 2), (4, 1)])
def test_pieces_are_those_of_scikit_image(connectivity: int, theirs: int) -> None:
    mask = cv2.GaussianBlur(np.random.default_rng(0).random((200, 300)), (0, 0), 1.5) > 0.5
    found = _pieces(mask, 60, connectivity=connectivity)
    np.testing.assert_array_equal(found, remove_small_objects(mask, max_size=59, connectivity=theirs))
    filled = ~_pieces(~mask, 61, connectivity=connectivity)
    np.testing.assert_array_equal(filled, remove_small_holes(mask, max_size=60, connectivity=theirs))
    assert mask.sum() > found.sum() > 0


def test_strips_show_no_seams() -> None:
    picture = np.full((700, 200, 3), (243, 241, 244), np.uint8)
    picture[50:650, 80:120] = (40, 140, 70)
    pen = pen_marks(picture, mpp=8.0)
    assert pen[60:640, 90:110].all()
    assert not pen[:, :40].any()


@pytest.mark.parametrize("mpp", [0.02, 0.05, 0.15, 0.25])
def test_a_tiny_slide_is_tissue_at_any_resolution_and_soon(mpp: float) -> None:
    picture = np.full((300, 400, 3), (200, 120, 170), np.uint8)
    picture[::7, ::5] = (140, 80, 150)
    picture[:40, :40] = (30, 140, 70)  # ink, far from small at 0.15 um per pixel and above
    start = time.monotonic()
    found = find_tissue(picture, downsample=1, mpp=mpp)
    assert time.monotonic() - start < 10
    assert found.mask[150:, 200:].all()


def test_a_speck_on_a_small_slide_stays_a_speck() -> None:
    picture = np.full((300, 300, 3), GLASS, np.uint8)
    picture[100:140, 100:140] = (200, 120, 170)
    assert not find_tissue(picture, downsample=1, mpp=0.5).mask.any()
    picture[100:200, 100:200] = (200, 120, 170)
    assert find_tissue(picture, downsample=1, mpp=0.5).mask[120:180, 120:180].all()


@pytest.mark.parametrize("radius", [20.0, 90.0])
def test_discs_of_both_methods_agree(radius: float, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((500, 500), np.bool_)
    mask[200:240, 100:300] = mask[300:310, 300:400] = True
    exact = tissue_module._grown(mask, radius)
    monkeypatch.setattr(tissue_module, "_MAX_DISC_PX", 0)
    apart = np.count_nonzero(exact != tissue_module._grown(mask, radius))
    assert apart < 0.02 * np.count_nonzero(exact)
