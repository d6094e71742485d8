from pathlib import Path

import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.records import Truth
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.data.discovery.manifest import DEFAULT_RULE, LabelRule

CLASSES = ("benign", "malignant")
BREAKHIS = "SOB_M_DC-14-2523AB-100-005.png"
KNOWN = ("14-2523", "14-2523AB", 100.0)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def truths(
    *inputs: Path,
    labels: str,
    classes: tuple[str, ...] = CLASSES,
    said: list[str] | None = None,
    rule: LabelRule = DEFAULT_RULE,
) -> dict[str, Truth]:
    names = [str(one) for one in inputs]
    tell = (said if said is not None else []).append
    files = discover(names, base=resolve_base(names), labels=labels, classes=classes, rule=rule, on_problem=tell)
    return {file.path: file.truth for file in files}


@pytest.mark.parametrize(
    ("labels", "in_folder", "at_top"),
    [
        ("auto", Truth("malignant", *KNOWN), Truth("malignant", *KNOWN)),
        ("breakhis", Truth("malignant", *KNOWN), Truth("malignant", *KNOWN)),
        ("folders", Truth("benign", *KNOWN), Truth(None, *KNOWN)),
        ("none", Truth(magnification=100.0), Truth(magnification=100.0)),
    ],
)
def test_a_breakhis_name_in_a_folder_of_another_class(
    tmp_path: Path, labels: str, in_folder: Truth, at_top: Truth
) -> None:
    touch(tmp_path, f"benign/{BREAKHIS}", BREAKHIS)
    assert truths(tmp_path, labels=labels) == {f"benign/{BREAKHIS}": in_folder, BREAKHIS: at_top}


@pytest.mark.parametrize("labels", ["auto", "folders"])
def test_the_nearest_folder_with_a_classes_name_counts(tmp_path: Path, labels: str) -> None:
    touch(
        tmp_path, "Benign/a.png", "malignant/grade/b.png", "malignant/x/BENIGN/c.png", "other/d.png", "benignant/e.png"
    )
    assert {path: truth.label for path, truth in truths(tmp_path, labels=labels).items()} == {
        "Benign/a.png": "benign",
        "malignant/grade/b.png": "malignant",
        "malignant/x/BENIGN/c.png": "benign",
        "other/d.png": None,
        "benignant/e.png": None,
    }


def test_the_bases_own_name_counts_and_nothing_above_it(tmp_path: Path) -> None:
    touch(tmp_path, "malignant/a.png", "malignant/day 1/b.png")
    assert truths(tmp_path / "malignant", labels="auto")["a.png"].label == "malignant"
    assert truths(tmp_path / "malignant" / "a.png", labels="auto")["a.png"].label == "malignant"
    assert truths(tmp_path / "malignant" / "day 1", labels="auto")["b.png"].label is None


def test_folders_beside_the_base_count_for_files_outside_it(tmp_path: Path) -> None:
    touch(tmp_path, "images/benign/a.png")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "m.csv").write_text("path\n../images/benign/a.png\n")
    assert truths(tmp_path / "lists" / "m.csv", labels="auto")["../images/benign/a.png"].label == "benign"


def test_a_model_of_subtypes_takes_the_subtype(tmp_path: Path) -> None:
    touch(tmp_path, BREAKHIS)
    found = truths(tmp_path, labels="auto", classes=("ductal_carcinoma", "adenosis"))
    assert found[BREAKHIS].label == "ductal_carcinoma"


def test_a_label_file_is_matched_through_its_own_folder(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png", "in/b.png", "in/c.png")
    file = tmp_path / "labels.csv"
    file.write_text("path,label,patient\nin/a.png,benign,P1\n./in/../in/b.png,malignant,P2\n")
    said: list[str] = []
    assert truths(tmp_path / "in", labels=str(file), said=said) == {
        "a.png": Truth("benign", "P1"),
        "b.png": Truth("malignant", "P2"),
        "c.png": Truth(),
    }
    assert said == []


def test_a_label_file_elsewhere_is_matched_through_the_base(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png")
    (tmp_path / "meta").mkdir()
    file = tmp_path / "meta" / "labels.csv"
    file.write_text("path,label\na.png,benign\n")
    assert truths(tmp_path / "in", labels=str(file)) == {"a.png": Truth("benign")}


def test_absolute_and_linked_paths_match(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.png", "real/b.png")
    (tmp_path / "link").symlink_to("real")
    file = tmp_path / "labels.csv"
    file.write_text(f"path,label\n{tmp_path}/real/a.png,benign\nlink/b.png,malignant\n")
    assert {p: t.label for p, t in truths(tmp_path / "link", labels=str(file)).items()} == {
        "a.png": "benign",
        "b.png": "malignant",
    }


def test_rows_that_match_no_file_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png")
    file = tmp_path / "labels.csv"
    file.write_text("path,label\nin/a.png,benign\nin/gone.png,benign\nin/too.png,malignant\n")
    said: list[str] = []
    truths(tmp_path / "in", labels=str(file), said=said)
    assert said == [f"2 of 3 rows in {file} match no file; the first is 'in/gone.png', row 3"]


def test_two_rows_that_disagree_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    file = tmp_path / "labels.csv"
    file.write_text("path,label\na.png,benign\na.png,benign\n./a.png,malignant\n")
    with pytest.raises(InputError) as caught:
        truths(tmp_path, labels=str(file))
    assert caught.value.message == f"{file} line 4 labels a file 'malignant' that is 'benign' in row 2"


def test_a_label_that_is_no_class_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    file = touch(tmp_path, "a.png") / "labels.csv"
    file.write_text("path,label\na.png,cancer\n")
    with pytest.raises(InputError, match=r"'cancer' is not one of the classes .*benign, malignant"):
        discover([str(tmp_path)], base=tmp_path, labels=str(file), classes=CLASSES)


@pytest.mark.parametrize("given_as", ["label file", "input"])
def test_another_column_may_hold_the_label_and_other_labels_count_as_none(tmp_path: Path, given_as: str) -> None:
    file = touch(tmp_path, "a.png", "b.png", "c.png") / "list.csv"
    file.write_text("path,label,subtype\na.png,benign,adenosis\nb.png,benign,fibroadenoma\nc.png,benign,\n")
    where = {"labels": str(file)} if given_as == "label file" else {"labels": "auto"}
    rule = LabelRule(("subtype", "label"), refuse_others=False)
    data = tmp_path if given_as == "label file" else file
    found = truths(data, classes=("adenosis", "lobular_carcinoma"), rule=rule, **where)
    assert {path: truth.label for path, truth in found.items()} == {"a.png": "adenosis", "b.png": None, "c.png": None}


def test_a_label_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        truths(tmp_path, labels="foldres")
    assert caught.value.message == "--labels is 'foldres', but there is no such file"
    assert caught.value.fix.startswith("choose auto, none, folders or breakhis")


def test_the_real_list_matches_every_image(real_data: Path) -> None:
    folder = real_data / "breakhis"
    said: list[str] = []
    by_file = truths(folder, labels=str(folder / "manifest.csv"), said=said)
    assert said == []
    assert by_file == truths(folder, labels="auto") == truths(folder / "manifest.csv", labels="auto")
    assert len(by_file) == 717
