"""Labels and patients from folders, in the arrangements that people use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cancernet_cli.core.records import Truth
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.data.discovery.layout import Layout, survey
from tests.breakhis_tree import breakhis_tree

CLASSES = ("benign", "malignant")


def surveyed(*names: str, classes: tuple[str, ...] = CLASSES) -> Layout:
    """The layout of files with these paths, which need not exist."""
    return survey((os.fsencode(f"/data/{name}") for name in names), Path("/data"), classes)


def patients(*names: str) -> list[str | None]:
    layout = surveyed(*names)
    assert not layout.ambiguity
    return [layout.patient_of(os.path.dirname(os.fsencode(f"/data/{name}"))) for name in names]


def truths(
    folder: Path | str, *, classes: tuple[str, ...] = CLASSES, said: list[str] | None = None
) -> dict[str, Truth]:
    tell = (said if said is not None else []).append
    found = discover([str(folder)], base=resolve_base([str(folder)]), labels="auto", classes=classes, on_problem=tell)
    return {file.path: file.truth for file in found}


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


@pytest.mark.parametrize(
    "pattern",
    [
        "{patient}/{label}/a.png",
        "{label}/{patient}/a.png",
        "{label}/{patient}/40X/a.png",
        "{label}/adenosis/{patient}/x100/a.png",
        "{label}/images/{patient}/a.png",
        "train/{label}/{patient}/a.png",
        "Fold 2/{label}/{patient}/a.png",
        "{patient}/HE/{label}/tiles/a.png",
        "site/{patient}/{label}/deep/er/a.png",
    ],
)
def test_the_level_whose_names_differ_within_a_class_is_the_patients(pattern: str) -> None:
    known = [("P1", "benign"), ("P2", "benign"), ("P3", "malignant"), ("P1", "Malignant")]
    names = [pattern.format(patient=patient, label=label) for patient, label in known]
    assert patients(*names) == ["P1", "P2", "P3", "P1"]
    layout = surveyed(*names)
    assert [layout.class_of(os.path.dirname(os.fsencode(f"/data/{name}"))) for name in names] == [
        "benign",
        "benign",
        "malignant",
        "malignant",
    ]
    assert layout.patients_read.endswith("counts as a patient: P1, P2, ...")


@pytest.mark.parametrize(
    "names",
    [
        ("benign/a.png", "malignant/b.png"),
        ("data/benign/a.png", "data/malignant/b.png"),
        ("benign/benign images/a.png", "malignant/malignant images/b.png"),
        ("benign/40X/a.png", "benign/100x/b.png", "malignant/x400/c.png"),
        ("train/benign/a.png", "test/benign/b.png", "val/malignant/c.png"),
        ("fold1/train/benign/a.png", "fold2/test/benign/b.png"),
        ("benign/adenosis/a.png", "benign/fibroadenoma/a.png"),
        ("P1/a.png", "P2/b.png"),
    ],
)
def test_other_levels_name_no_patient(names: tuple[str, ...]) -> None:
    assert patients(*names) == [None] * len(names)


def test_subtypes_as_classes_do_not_make_their_parents_patients() -> None:
    names = ("benign/adenosis/a.png", "malignant/ductal_carcinoma/b.png", "benign/phyllodes_tumor/c.png")
    layout = surveyed(*names, classes=("adenosis", "ductal_carcinoma", "phyllodes_tumor"))
    assert (layout.patients, layout.ambiguity) == (None, "")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ("A/benign/P1/x.png", "A/benign/P2/x.png", "B/benign/P3/x.png"),
            "it is unclear which folders are patients: A, B, ... (above the class folders) or P1, P2, ... (below the "
            "class folders)",
        ),
        (
            ("benign/P1/s1/x.png", "benign/P1/s2/x.png", "benign/P2/s3/x.png"),
            "it is unclear which folders are patients: P1, P2, ... (below the class folders) or s1, s2, ... (below the "
            "class folders, level 2)",
        ),
        (
            ("benign/P1/x.png", "benign/P2/x.png", "malignant/x.png"),
            "some images are in folders that may be patients, P1, P2, ... (below the class folders), and others are in "
            "malignant",
        ),
    ],
)
def test_what_is_ambiguous_names_no_patient_and_is_said(names: tuple[str, ...], words: str, tmp_path: Path) -> None:
    layout = surveyed(*names)
    assert (layout.patients, layout.ambiguity) == (None, words)
    said: list[str] = []
    assert {truth.patient for truth in truths(touch(tmp_path, *names), said=said).values()} == {None}
    assert said == [f"patients are unknown: {words}"]


def test_folders_with_numbers_are_the_classes_in_their_order(tmp_path: Path) -> None:
    touch(tmp_path, "P1/0/a.png", "P1/1/b.png", "P2/0/c.png")
    said: list[str] = []
    assert truths(tmp_path, said=said) == {
        "P1/0/a.png": Truth("benign", "P1"),
        "P1/1/b.png": Truth("malignant", "P1"),
        "P2/0/c.png": Truth("benign", "P2"),
    }
    assert said == ["folders are numbered: 0 as benign and 1 as malignant; --labels none ignores them"]
    assert [truth.label for truth in truths(touch(tmp_path / "c", "class_0/a.png", "Class 1/b.png")).values()] == [
        "malignant",
        "benign",
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("0/a.png", "1/b.png", "2/c.png"),
        ("0/a.png", "0/b.png"),
        ("1/a.png", "2/b.png"),
        ("0/a.png", "1/b.png", "c.png"),
        ("00000/a.png", "00001/b.png", "00002/b.png"),
    ],
)
def test_other_numbers_are_no_classes(names: tuple[str, ...], tmp_path: Path) -> None:
    assert not surveyed(*names).numbered
    assert {truth.label for truth in truths(touch(tmp_path, *names)).values()} == {None}


def test_numbers_below_class_folders_are_patients(tmp_path: Path) -> None:
    touch(tmp_path, "benign/0/a.png", "benign/1/b.png", "malignant/2/c.png")
    found = truths(tmp_path)
    assert {path: (truth.label, truth.patient) for path, truth in found.items()} == {
        "benign/0/a.png": ("benign", "0"),
        "benign/1/b.png": ("benign", "1"),
        "malignant/2/c.png": ("malignant", "2"),
    }


def test_idc_patches_say_class_and_patient_wherever_they_are(tmp_path: Path) -> None:
    touch(tmp_path, "8863/1/8863_idx5_x51_y1251_class1.png", "flat/10253_idx5_x1_y51_class0.png")
    for classes, labels in ((("non_idc", "idc"), ["idc", "non_idc"]), (("IDC", "other"), ["IDC", None])):
        found = [truth for _, truth in sorted(truths(tmp_path, classes=classes).items())]
        assert found == [Truth(labels[0], "8863"), Truth(labels[1], "10253")]


def test_the_unpacked_breakhis_tree_keeps_the_patients_of_its_names(tmp_path: Path) -> None:
    said: list[str] = []
    found = truths(breakhis_tree(tmp_path), said=said)
    assert said == []
    assert {truth.patient for truth in found.values()} >= {"14-22549", "14-13412", "15-190"}
    assert all(truth.slide and truth.patient and truth.slide.startswith(truth.patient) for truth in found.values())


def test_a_pattern_and_single_files_are_read_as_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "P1/benign/a.png", "P2/benign/b.png", "P2/malignant/c.png")
    expected = truths(tmp_path)
    assert expected["P2/malignant/c.png"] == Truth("malignant", "P2")
    monkeypatch.chdir(tmp_path)
    assert truths("*/*/*.png") == expected
    names = sorted(expected)
    files = discover(names, base=tmp_path, labels="auto", classes=CLASSES)
    assert {file.path: file.truth for file in files} == expected


def test_names_that_are_not_utf8_are_patients_too() -> None:
    layout = survey([b"/data/P\xff/benign/a.png", b"/data/Q/benign/b.png"], Path("/data"), CLASSES)
    assert layout.patient_of(b"/data/P\xff/benign") == r"P\xff"


def test_the_real_patches_need_no_list(real_data: Path) -> None:
    folder = real_data / "idc"
    found = truths(folder, classes=("non_idc", "idc"))
    listed = truths(folder / "manifest.csv", classes=("non_idc", "idc"))
    assert len(found) == 8854
    assert found == listed
