from pathlib import Path

import pytest

from cancernet_cli.data.discovery.names.breakhis import BreakHisName, parse_breakhis
from tests.breakhis_tree import breakhis_tree


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "SOB_M_DC-14-2523-100-005.png",
            BreakHisName("malignant", "ductal_carcinoma", "14-2523", "14-2523", 100.0),
        ),
        ("SOB_B_A-14-22549AB-40-001.png", BreakHisName("benign", "adenosis", "14-22549", "14-22549AB", 40.0)),
        ("SOB_B_PT-14-29315EF-200-006.jpg", BreakHisName("benign", "phyllodes_tumor", "14-29315", "14-29315EF", 200.0)),
        ("SOB_B_TA-14-3411F-400-010", BreakHisName("benign", "tubular_adenoma", "14-3411", "14-3411F", 400.0)),
        (
            "SOB_M_PC-15-190EF-400-022 (1).PNG",
            BreakHisName("malignant", "papillary_carcinoma", "15-190", "15-190EF", 400.0),
        ),
        (
            "SOB_M_MC-14-13413-100-032.png",
            BreakHisName("malignant", "mucinous_carcinoma", "14-13413", "14-13413", 100.0),
        ),
        # one case that BreakHis holds under two subtypes
        ("SOB_M_DC-14-13412-100-001.png", BreakHisName("malignant", "ductal_carcinoma", "14-13412", "14-13412", 100.0)),
        (
            "SOB_M_LC-14-13412-100-001.png",
            BreakHisName("malignant", "lobular_carcinoma", "14-13412", "14-13412", 100.0),
        ),
    ],
)
def test_names_of_the_data_set(name: str, expected: BreakHisName) -> None:
    assert parse_breakhis(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "tumour.png",
        "SOB_B_A_14-22549AB",
        "SOB_M_XX-14-2523-100-005.png",
        "SOB_B_DC-14-2523-100-005.png",
        "SOB_M_A-14-1-40-1",
        "",
    ],
)
def test_other_names_say_nothing(name: str) -> None:
    assert parse_breakhis(name) is None


def test_every_name_of_the_unpacked_tree_says_what_its_folders_say(tmp_path: Path) -> None:
    files = sorted(breakhis_tree(tmp_path).rglob("*.png"))
    assert len(files) == 68
    for file in files:
        known = parse_breakhis(file.name)
        assert known is not None
        magnification, slide, subtype, _, label = [folder.name for folder in file.parents][:5]
        assert (f"{known.magnification:g}X", known.subtype, known.label) == (magnification, subtype, label)
        assert slide.endswith(f"_{known.slide}")
        assert known.slide.startswith(known.patient)
