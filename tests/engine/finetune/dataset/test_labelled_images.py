"""What a classifier learns from: which files, which classes, whose, and on which side of the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cancernet_cli.core.errors import InputError, OptionError
from cancernet_cli.core.events import Event, Note, StageStarted, Warn
from cancernet_cli.core.options import CompareOptions, FinetuneOptions, LearningOptions
from cancernet_cli.data.discovery.names.breakhis import SUBTYPES
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages, list_images, split_parts
from cancernet_cli.engine.finetune.dataset.reading import STAGE
from tests.breakhis_tree import MAGNIFICATIONS, SLIDES, breakhis_tree

BREAST = "histology_slides/breast"


def options(**changed: object) -> LearningOptions:
    return LearningOptions(**({"folds": 2, "workers": 0} | changed))  # type: ignore[arg-type]


def listed(data: Path | list[Path], said: list[Event] | None = None, **changed: object) -> LabelledImages:
    names = [str(one) for one in (data if isinstance(data, list) else [data])]
    return list_images(names, options(**changed), (said if said is not None else []).append)


def touch(root: Path, *names: str) -> Path:
    """Files that hold no image: only their names matter here."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def a_list(folder: Path, header: str, *rows: str) -> Path:
    """A manifest; the files that it names are made."""
    touch(folder, *(row.split(",")[0] for row in rows))
    file = folder / "list.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return breakhis_tree(tmp_path_factory.mktemp("unpacked"), images=2)


@pytest.mark.parametrize("top", ["", BREAST, f"{BREAST}/benign/.."])
def test_breakhis_is_found_whole_as_it_is_unpacked(tree: Path, top: str) -> None:
    images = listed(tree / top)
    assert len(images.files) == len(SLIDES) * len(MAGNIFICATIONS) * 2
    assert images.classes == ("benign", "malignant")
    assert not images.unknown_patients.any()
    for k, file in enumerate(images.files):
        letter, slide = file.path.split("SOB_")[-1][0], images.slides[k]
        assert f"-{slide}-" in file.path
        assert images.classes[images.labels[k]] == {"B": "benign", "M": "malignant"}[letter]
        assert images.patients[k] == slide.rstrip("ABCDEF")
        assert f"/{images.magnifications[k]:g}X/" in file.path
    assert len(set(images.patients)) == 15  # 17 slide folders: 14-22549 has two, 14-13412 stands under two subtypes


def test_one_folder_of_breakhis_has_its_subtypes(tree: Path) -> None:
    images = listed(tree / BREAST / "benign" / "SOB", target="subtype")
    assert images.classes == ("adenosis", "fibroadenoma", "phyllodes_tumor", "tubular_adenoma")
    images = listed([tree / BREAST / "benign/SOB/adenosis", tree / BREAST / "malignant/SOB/mucinous_carcinoma"])
    assert images.classes == ("benign", "malignant")
    assert len(images.files) == 40
    with pytest.raises(InputError, match="no image is labeled 'malignant'"):
        listed(tree / BREAST / "benign")


def test_the_eight_subtypes_are_classes(tree: Path) -> None:
    images = listed(tree, target="subtype")
    assert images.classes == tuple(SUBTYPES.values())
    for file, label in zip(images.files, images.labels, strict=True):
        assert f"/{images.classes[label]}/" in file.path


def test_a_subtype_of_one_patient_is_named_with_the_way_on(tmp_path: Path) -> None:
    tree = breakhis_tree(tmp_path, slides=[one for one in SLIDES if one != ("M", "LC", "14-15570")])
    with pytest.raises(InputError) as caught:
        listed(tree, target="subtype")
    assert caught.value.message.startswith("class lobular_carcinoma has one patient")
    others = ",".join(name for name in SUBTYPES.values() if name != "lobular_carcinoma")
    assert caught.value.fix == f"add images of more patients, or omit it: --classes {others}"
    said: list[Event] = []
    images = listed(tree, said, target="subtype", classes=others)
    assert images.classes == tuple(others.split(","))
    assert len(images.files) == (len(SLIDES) - 2) * 4
    assert any("4 of 64 images are omitted: no label, or a label other than adenosis" in str(event) for event in said)


def test_subtypes_come_from_folders_too(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/p{i}.png" for name in ("Adenosis", "papillary_carcinoma") for i in range(3)))
    images = listed(tmp_path, target="subtype")
    assert images.classes == ("adenosis", "papillary_carcinoma")
    assert images.unknown_patients.all()


def test_subtypes_come_from_a_lists_column(tmp_path: Path) -> None:
    rows = [f"{i}.png,benign,p{i},{'adenosis' if i % 2 else 'Fibroadenoma'}" for i in range(4)]
    images = listed(a_list(tmp_path, "path,label,patient,subtype", *rows), target="subtype")
    assert [images.classes[k] for k in images.labels] == ["fibroadenoma", "adenosis"] * 2


def test_a_list_without_subtypes_leaves_them_to_the_names(tmp_path: Path) -> None:
    names = [f"SOB_{code}-14-{i}-100-001.png" for i, code in enumerate(["B_A", "B_A", "M_DC", "M_DC"])]
    rows = [f"{name},{'benign' if '_B_' in name else 'malignant'}" for name in names]
    images = listed(a_list(tmp_path, "path,label", *rows), target="subtype")
    assert images.classes == ("adenosis", "ductal_carcinoma")


def test_chosen_classes_leave_the_other_labels_out(tmp_path: Path) -> None:
    file = a_list(tmp_path, "path,label,patient", *(f"{i}.png,{'abc'[i % 3]},p{i}" for i in range(9)))
    with pytest.raises(InputError, match="'a' is not one of"):
        listed(file)
    said: list[Event] = []
    images = listed(file, said, classes="c,a")
    assert images.classes == ("c", "a")
    assert len(images.files) == 6
    assert Note("3 of 9 images are omitted: no label, or a label other than c, a") in said
    with pytest.raises(OptionError, match="needs at least two different labels"):
        listed(file, classes="a,A")


def test_magnifications_are_chosen(tree: Path, tmp_path: Path) -> None:
    assert set(listed(tree, magnification="100").magnifications) == {100.0}
    assert set(listed(tree, magnification="40, 400X").magnifications) == {40.0, 400.0}
    with pytest.raises(InputError) as caught:
        listed(tree, magnification="20")
    assert caught.value.message == (
        "no image has magnification 20; available: 40 (34 images), 100 (34 images), 200 (34 images), 400 (34 images)"
    )
    with pytest.raises(OptionError, match="--magnification needs numbers, got 'high'"):
        listed(tree, magnification="high")


def test_images_of_unknown_magnification_are_counted(tmp_path: Path) -> None:
    rows = [f"{i}.png,{'benign' if i % 2 else 'malignant'},p{i},{100 if i < 8 else ''}" for i in range(11)]
    file = a_list(tmp_path, "path,label,patient,magnification", *rows)
    said: list[Event] = []
    assert len(listed(file, said, magnification="100").files) == 8
    assert Warn("the magnification of 3 of 11 images is unknown; they are omitted") in said
    with pytest.raises(InputError, match=r"available: 100 \(8 images\), and 3 images of unknown magnification"):
        listed(file, magnification="40")


def test_images_of_unknown_patients_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "benign/SOB_B_A-14-1-40-001.png", "benign/a.png", "malignant/b.png", "malignant/c.png")
    said: list[Event] = []
    images = listed(tmp_path, said)
    assert images.unknown_patients.tolist() == [False, True, True, True]
    assert images.slides.tolist() == ["14-1", "", "", ""]
    assert len(set(images.patients)) == 4
    words = " ".join(one.message for one in said if isinstance(one, Warn))
    assert "the patient of 3 of 4 images is unknown: each counts as a separate patient" in words
    assert "--patient-pattern" in words


def test_patients_are_found_in_paths(tmp_path: Path) -> None:
    touch(
        tmp_path, *(f"{label}/{label[0]}{p}_{i}.png" for label in ("benign", "malignant") for p in "123" for i in "ab")
    )
    said: list[Event] = []
    images = listed(tmp_path, said, folds=3, patient_pattern=r"/([bm]\d)_")
    assert sorted(set(images.patients)) == ["b1", "b2", "b3", "m1", "m2", "m3"]
    assert not images.unknown_patients.any()
    assert not any("the patient of" in str(one) for one in said)
    assert all(len(set(images.folds[images.patients == name])) == 1 for name in set(images.patients))


def test_files_that_cannot_be_opened_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{label}/{i}.png" for label in ("benign", "malignant") for i in range(3)))
    (tmp_path / "benign" / "gone.png").symlink_to("nowhere.png")
    said: list[Event] = []
    assert len(listed(tmp_path, said).files) == 6
    assert any("1 file omitted because unreadable; the first: benign/gone.png" in str(one) for one in said)


def test_nothing_labelled_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image has any of the labels benign, malignant; sort them"):
        listed(touch(tmp_path, "a.png"))


@pytest.mark.parametrize("kind", [FinetuneOptions, CompareOptions])
def test_every_command_that_learns_lists_alike(tree: Path, kind: type[LearningOptions]) -> None:
    images = list_images([str(tree)], kind(workers=0), lambda event: None)
    assert sorted(set(images.folds.tolist())) == [0, 1, 2, 3, 4]
    assert images.splits is None
    assert images.leaks == ()


@pytest.mark.parametrize("changed", [{}, {"folds": 5}, {"folds": 1}, {"folds": 1, "target": "subtype"}])
def test_no_patient_is_on_two_sides(tree: Path, changed: dict[str, object]) -> None:
    images = listed(tree, **changed)
    found = split_parts(images, options(**changed))
    assert [part.name for part in found] == (
        ["holdout"] if changed.get("folds") == 1 else [f"fold_{k}" for k in range(int(str(changed.get("folds", 2))))]
    )
    for part in found:
        sides = [set(images.patients[rows].tolist()) for rows in (part.train, part.validate, part.test)]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 15
        assert all(len(side) > 0 for side in sides) or changed.get("target") == "subtype"


def test_a_single_split_is_drawn_as_asked(tree: Path) -> None:
    images = listed(tree, folds=1, test_share=0.4, validation_share=0.5)
    assert images.splits is not None
    assert set(images.splits) == {"train", "val", "test"}
    assert np.array_equal(images.folds == 0, images.splits == "test")
    assert set(images.folds) == {0, 1}
    in_test = len(set(images.patients[images.splits == "test"]))
    assert 4 <= in_test <= 8  # of 15


def split_list(folder: Path, *, column: str, values: list[str]) -> Path:
    """Eight patients of two images; patients 0, 2, 4, 6 are benign."""
    rows = [f"{i}.png,{'benign' if i // 2 % 2 == 0 else 'malignant'},p{i // 2},{values[i // 2]}" for i in range(16)]
    return a_list(folder, f"path,label,patient,{column}", *rows)


def test_a_lists_split_is_kept_and_completed(tmp_path: Path) -> None:
    given = ["train", "Train", "train", "train", "val", "valid", "test", "test"]
    images = listed(split_list(tmp_path, column="split", values=given), folds=5)
    assert images.splits is not None
    by_name = {file.path: split for file, split in zip(images.files, images.splits, strict=True)}
    assert {by_name[f"{i}.png"] for i in range(8)} == {"train"}
    assert {by_name[f"{i}.png"] for i in (12, 13, 14, 15)} == {"test"}
    (part,) = split_parts(images, options())
    assert part.name == "holdout"
    assert set(images.patients[part.validate]) == {"p4", "p5"}


def test_validation_is_drawn_from_train_where_the_list_has_none(tmp_path: Path) -> None:
    file = split_list(tmp_path, column="split", values=["train"] * 6 + ["test"] * 2)
    images = listed(file, validation_share=0.34)
    (part,) = split_parts(images, options())
    assert set(images.patients[part.test]) == {"p6", "p7"}
    assert len(set(images.patients[part.validate])) == 2
    assert set(images.labels[part.validate]) == set(images.labels[part.train]) == {0, 1}
    drawn = listed(file, resplit=True, folds=2)
    assert drawn.splits is None


def test_a_lists_folds_are_kept_unless_resplit(tmp_path: Path) -> None:
    file = split_list(tmp_path, column="fold", values=["3", "3", "7", "7", "9", "9", "9", "9"])
    images = listed(file, folds=5)
    assert {(str(p), int(f)) for p, f in zip(images.patients, images.folds, strict=True)} == {
        ("p0", 3), ("p1", 3), ("p2", 7), ("p3", 7), ("p4", 9), ("p5", 9), ("p6", 9), ("p7", 9),
    }  # fmt: skip
    assert [part.name for part in split_parts(images, options())] == ["fold_3", "fold_7", "fold_9"]
    assert set(listed(file, folds=2, resplit=True).folds) == {0, 1}


def test_with_both_columns_the_number_of_folds_chooses(tmp_path: Path) -> None:
    rows = [
        f"{i}.png,{'benign' if i % 2 else 'malignant'},p{i},{i // 2 % 2},{'test' if i > 5 else 'train'}"
        for i in range(8)
    ]
    file = a_list(tmp_path, "path,label,patient,fold,split", *rows)
    assert listed(file, folds=5).splits is None
    assert listed(file, folds=1).splits is not None


def test_a_label_files_folds_count_too(tmp_path: Path) -> None:
    touch(tmp_path / "in", *(f"{i}.png" for i in range(8)))
    rows = [f"{i}.png,{'benign' if i % 2 else 'malignant'},p{i},{i // 4 + 4}" for i in range(8)]
    (tmp_path / "labels.csv").write_text("path,label,patient,fold\n" + "\n".join(rows) + "\n")
    images = listed(tmp_path / "in", labels=str(tmp_path / "labels.csv"))
    assert images.folds.tolist() == [4] * 4 + [5] * 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["train"] * 6 + ["test", "holdout"], "has split 'holdout'; use train, val and test, or pass --resplit"),
        (["train"] * 7 + [""], "2 of 16 images have no split; the first: .*/14.png; fill in the column, or pass"),
        (["train"] * 8, "no row has split 'test'"),
        (["train", "test", "train", "test", "train", "test", "train", "test"], "no image of class malignant has split"),
    ],
)
def test_a_split_that_cannot_be_used_is_refused_before_images_are_read(
    tmp_path: Path, values: list[str], message: str
) -> None:
    said: list[Event] = []
    with pytest.raises(InputError, match=message):
        listed(split_list(tmp_path, column="split", values=values), said)
    assert not any(isinstance(event, StageStarted) and event.stage == STAGE for event in said)


def test_a_fold_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2 has fold 'a', which is not an integer; correct it, or pass --resplit"):
        listed(split_list(tmp_path, column="fold", values=["a"] * 8))


def test_a_class_with_fewer_patients_than_folds_is_reported(tmp_path: Path) -> None:
    names = [f"benign/SOB_B_A-14-{i}-40-001.png" for i in range(6)]
    names += [f"malignant/SOB_M_DC-14-{i}-40-001.png" for i in range(10, 12)]
    said: list[Event] = []
    listed(touch(tmp_path, *names), said, folds=3)
    assert Warn("class malignant has 2 patients, so some of the 3 folds do not test it") in said


def test_too_few_patients_to_validate_are_reported(tmp_path: Path) -> None:
    names = [f"{label}/{i}.png" for label in ("benign", "malignant") for i in range(2)]
    images = listed(touch(tmp_path, *names))
    said: list[Event] = []
    found = split_parts(images, options(), said.append)
    assert all(len(part.validate) == 0 for part in found)
    assert said == [Warn("a class has too few patients for a validation part in fold_0, fold_1")]


def test_a_subset_keeps_what_belongs_together(tree: Path) -> None:
    images = listed(tree, folds=1)
    some = images.only([5, 3, 100])
    assert [file.path for file in some.files] == [images.files[k].path for k in (5, 3, 100)]
    for name in ("labels", "patients", "unknown_patients", "slides", "magnifications", "groups", "folds", "splits"):
        assert getattr(some, name).tolist() == [getattr(images, name).tolist()[k] for k in (5, 3, 100)]
    assert some.classes == images.classes
    assert listed(tree).only(np.array([0])).splits is None


IDC = [f"{patient}/{k}/{patient}_idx5_x1_y{k}_class{k}.png" for patient in (8863, 8864, 8865) for k in (0, 1)]


def test_idc_patches_are_read_as_they_are_unpacked(tmp_path: Path) -> None:
    said: list[Event] = []
    images = listed(touch(tmp_path, *IDC), said)
    assert images.classes == ("non_idc", "idc")
    assert images.labels.tolist() == [0, 1] * 3
    assert images.patients.tolist() == ["8863", "8863", "8864", "8864", "8865", "8865"]
    assert Note("the files are named as IDC patches: the classes are non_idc and idc") in said
    assert listed(tmp_path, classes="idc,non_idc").labels.tolist() == [1, 0] * 3  # the names count, not the numbers


def test_numbered_folders_need_names(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{patient}/{k}/a.png" for patient in ("P1", "P2") for k in (0, 1)))
    with pytest.raises(InputError) as caught:
        listed(tmp_path)
    assert caught.value.message == (
        "no image has any of the labels benign, malignant; the images are in folders named 0, 1"
    )
    assert caught.value.fix == "name the classes in the order of these numbers, as in --classes non_idc,idc"
    said: list[Event] = []
    images = listed(tmp_path, said, classes="no,yes")
    assert images.labels.tolist() == [0, 1] * 2
    assert images.patients.tolist() == ["P1", "P1", "P2", "P2"]
    assert Note("folders are numbered: 0 as no and 1 as yes") in said
    assert Note("each folder above the class folders counts as a patient: P1, P2, ...") in said


def test_unclear_patients_are_refused_until_a_list_names_them(tmp_path: Path) -> None:
    names = [f"{site}/{label}/{site}{k}/a.png" for site in "AB" for label in ("benign", "malignant") for k in (0, 1)]
    touch(tmp_path, *names)
    with pytest.raises(InputError) as caught:
        listed(tmp_path)
    assert caught.value.message == (
        "it is unclear which folders are patients: A, B, ... (above the class folders) or A0, A1, ... (below the class "
        "folders)"
    )
    assert caught.value.fix.startswith("arrange the folders as PATIENT/CLASS or CLASS/PATIENT, or list the images")
    rows = [f"{name},{name.split('/')[1]},{name.split('/')[2]}" for name in names]
    assert set(listed(a_list(tmp_path, "path,label,patient", *rows)).patients) == {"A0", "A1", "B0", "B1"}


def test_folders_give_the_split(tmp_path: Path) -> None:
    names = [
        f"{part}/{label}/{part}{k}.png"
        for part in ("train", "test")
        for label in ("benign", "malignant")
        for k in (0, 1)
    ]
    said: list[Event] = []
    images = listed(touch(tmp_path, *names), said, folds=1)
    assert images.given is not None
    assert images.splits is not None
    assert [file.path.startswith("test") for file in images.files] == (images.splits == "test").tolist()
    assert Note("the split is that of the folders (test, train); --resplit draws another") in said
    assert listed(tmp_path, folds=1, resplit=True).given is None
