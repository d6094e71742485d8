import csv
from pathlib import Path

import pytest

from cancernet_cli.data.discovery.names.idc import IdcName, parse_idc


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("10253_idx5_x1001_y1051_class0.png", IdcName("non_idc", "10253", 1001, 1051)),
        ("8863_idx5_x51_y1251_class1.png", IdcName("idc", "8863", 51, 1251)),
        ("8863_IDX5_X51_Y1251_CLASS1 (1).PNG", IdcName("idc", "8863", 51, 1251)),
    ],
)
def test_names_of_the_data_set(name: str, expected: IdcName) -> None:
    assert parse_idc(name) == expected


@pytest.mark.parametrize(
    "name", ["8863_idx5_x51_y1251_class2.png", "8863_idx5_x51_y1251_class10.png", "8863_x51_y1251_class1.png", "a.png"]
)
def test_other_names_say_nothing(name: str) -> None:
    assert parse_idc(name) is None


def test_the_real_names_say_what_the_list_says(real_data: Path) -> None:
    with (real_data / "idc" / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8854
    for row in rows:
        known = parse_idc(Path(row["path"]).name)
        assert known == IdcName(row["label"], row["patient"], int(row["x"]), int(row["y"]))
