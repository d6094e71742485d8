import math
from pathlib import Path

import pytest

from cancernet_cli.core.cards import InputPolicy, read_card
from cancernet_cli.core.models import DEFAULT_MODEL, find_model
from cancernet_cli.data.resolution import Resolution, ScaleFacts, is_plausible_mpp, mpp_from_tiff, resolve_resolution
from cancernet_cli.data.slides import open_slide
from cancernet_cli.data.tiles.target_mpp import target_mpp
from tests.slide_files import marked, real_slide, write_ome, write_svs, write_tiled

TIFF_72_DPI = (25_400 / 72, 25_400 / 72)


def resolved(facts: ScaleFacts, target: float = 0.5, slide: float | None = None) -> Resolution:
    return resolve_resolution(facts, target_mpp=target, slide_mpp=slide)


def test_the_sources_are_asked_in_their_order() -> None:
    everything = ScaleFacts(mpp=(0.25, 0.25), tiff_mpp=(0.26, 0.26), objective_power=20)
    assert resolved(everything) == Resolution(0.25, "slide")
    assert resolved(ScaleFacts(None, (0.26, 0.26), 20)) == Resolution(0.26, "tiff_resolution")
    assert resolved(ScaleFacts(None, None, 40)) == Resolution(0.25, "objective", ("mpp_from_objective",))
    assert resolved(ScaleFacts(), slide=0.3) == Resolution(0.3, "option")
    assert resolved(ScaleFacts()) == Resolution(0.5, "model", ("mpp_assumed",))


@pytest.mark.parametrize(
    "facts", [ScaleFacts(mpp=(0.25, 0.25)), ScaleFacts(None, (0.25, 0.25)), ScaleFacts(objective_power=40)]
)
def test_the_users_value_replaces_the_metadata(facts: ScaleFacts) -> None:
    assert resolved(facts, slide=0.3) == Resolution(0.3, "option", ("mpp_overridden",), 0.25)
    assert resolved(facts, slide=0.251) == Resolution(0.251, "option")


@pytest.mark.parametrize(("mpp", "power", "flags"), [
    (0.025, 40, ("mpp_disagrees",)), (2.5, 40, ("mpp_disagrees",)),
    (0.25, 4, ("mpp_disagrees",)), (0.9, 40, ("mpp_disagrees",)),
    (0.25, 40, ()), (0.499, 20, ()), (0.2425, 20, ()), (0.1725, 40, ()), (0.25, 0, ()), (0.25, None, ()),
])  # fmt: skip
def test_an_mpp_that_contradicts_the_objective_is_flagged(
    mpp: float, power: float | None, flags: tuple[str, ...]
) -> None:
    for facts in (ScaleFacts((mpp, mpp), None, power), ScaleFacts(None, (mpp, mpp), power)):
        found = resolved(facts, target=2.0)
        assert (found.mpp, found.flags) == (mpp, flags)
        assert found.other_mpp == (10 / power if flags and power else None)


@pytest.mark.parametrize("mpp", [0.0, -0.25, math.inf, math.nan, 0.0001, 25.4e3, 25_400 / 72, 25_400 / 96, 84.7, 21.2])
def test_what_no_scanner_hnone_not_believed(mpp: float) -> None:
    assert not is_plausible_mpp(mpp)
    found = resolved(ScaleFacts(mpp=(mpp, mpp), tiff_mpp=TIFF_72_DPI, objective_power=20))
    assert found == Resolution(0.5, "objective", ("mpp_not_believed", "mpp_from_objective"))
    assert resolved(ScaleFacts(mpp=(mpp, 0.25))).source == "model"


@pytest.mark.parametrize("power", [0.0, -1.0, math.nan, math.inf, 10_000.0])
def test_an_impossible_objective_is_not_believed(power: float) -> None:
    assert resolved(ScaleFacts(objective_power=power), slide=0.3) == Resolution(0.3, "option", ("mpp_not_believed",))


def test_more_than_twice_magnified_is_flagged_and_twice_is_not() -> None:
    assert resolved(ScaleFacts(mpp=(1.0, 1.0)), target=0.5).flags == ()
    assert resolved(ScaleFacts(mpp=(1.01, 1.01)), target=0.5).flags == ("magnified",)
    assert resolved(ScaleFacts(), target=0.5, slide=2.0).flags == ("magnified",)


def test_pixels_that_are_not_square_are_flagged() -> None:
    found = resolved(ScaleFacts(mpp=(0.2, 0.45)))
    assert found.mpp == pytest.approx(0.3)  # the geometric mean keeps areas
    assert found.flags == ("mpp_anisotropic",)
    assert resolved(ScaleFacts(mpp=(0.2520, 0.2524))).flags == ()


def test_tiff_resolutions_in_inches_and_centimetres() -> None:
    assert mpp_from_tiff((40_000, 20_000), "centimeter") == (0.25, 0.5)
    assert mpp_from_tiff((50_800, 50_800), "inch") == (0.5, 0.5)
    assert mpp_from_tiff((40_000, 40_000), "none") is None
    assert mpp_from_tiff((0, 40_000), "inch") is None
    assert mpp_from_tiff(None, "inch") is None


@pytest.mark.parametrize(
    ("write", "options", "mpp", "source"),
    [
        (write_svs, {}, 0.499, "slide"),
        (write_svs, {"mpp": ""}, 0.5, "objective"),
        (write_svs, {"mpp": "0", "power": "40"}, 0.25, "objective"),
        (write_svs, {"mpp": "", "power": ""}, 0.7, "model"),
        (write_tiled, {"mpp": 0.33}, 0.33, "tiff_resolution"),
        (write_tiled, {"mpp": 25_400 / 72}, 0.7, "model"),
        (write_tiled, {"mpp": None}, 0.7, "model"),
        (write_ome, {"mpp": 0.31}, 0.31, "slide"),
        (write_ome, {"mpp": None}, 0.7, "model"),
    ],
)
def test_what_files_say(tmp_path: Path, write: object, options: dict[str, object], mpp: float, source: str) -> None:
    path = tmp_path / "slide.tif"
    write(path, marked(640, 480), **options)  # type: ignore[operator]
    found = resolved(open_slide(str(path).encode()).scale, target=0.7)
    assert found.mpp == pytest.approx(mpp, rel=1e-6)
    assert found.source == source


def test_the_real_slide_says_half_a_micrometre() -> None:
    assert resolved(open_slide(str(real_slide()).encode()).scale) == Resolution(0.499, "slide")


def test_a_models_views_have_its_cards_mpp_or_that_of_a_magnification() -> None:
    grid = {"view": "grid", "scale": 0.5}
    assert target_mpp(InputPolicy(mpp=0.25, **grid)).mpp == 0.5
    assert target_mpp(InputPolicy(mpp=0.25)).mpp == 0.25
    assert target_mpp(InputPolicy(mpp=0.25)).remark == ""
    assert target_mpp(InputPolicy(mpp=4, tile_width_px=50, tile_height_px=50, **grid)).mpp == 4  # before enlarging
    # BreakHis: 0.49, 0.20, 0.10 and 0.05 um a pixel; of these at half size 0.40 is nearest to 0.5
    found = target_mpp(InputPolicy(magnifications=(40.0, 100.0, 200.0, 400.0), **grid))
    assert found.mpp == pytest.approx(0.40)
    assert "magnification 100" in found.remark
    assert target_mpp(InputPolicy(magnifications=(40.0, 400.0))).mpp == pytest.approx(0.49)
    assert target_mpp(InputPolicy(magnifications=(20.0,))).mpp == 0.5
    found = target_mpp(InputPolicy())
    assert found.mpp == 0.5
    assert "neither" in found.remark


def test_the_bundled_model_looks_at_slides_at_a_scale_that_scanners_have() -> None:
    mpp = target_mpp(read_card(find_model(DEFAULT_MODEL)).input).mpp
    assert 0.25 <= mpp <= 1.0
