import io
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.records import Truth
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.inputs import resolve_base

CLASSES = ("benign", "malignant")


def truths(manifest: Path, labels: str = "auto", classes: tuple[str, ...] = CLASSES) -> dict[str, Truth]:
    base = resolve_base([str(manifest)])
    return {f.path: f.truth for f in discover([str(manifest)], base=base, labels=labels, classes=classes)}


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(folder: Path, text: str | bytes) -> tuple[str, str]:
    path = written(folder, text)
    with pytest.raises(InputError) as caught:
        truths(path)
    assert caught.value.exit_code == 3
    return caught.value.message.replace(f"{path} ", ""), caught.value.fix


def test_a_csv_brings_files_labels_and_facts(tmp_path: Path) -> None:
    text = "Path, Label ,patient,magnification,mpp\na.png,Malignant,P1,40X,0.25\nb.png,,P2,,\n\n"
    assert truths(written(tmp_path, text)) == {
        "a.png": Truth("malignant", "P1", None, 40.0, 0.25),
        "b.png": Truth(None, "P2"),
    }


def test_a_parquet_file_says_the_same(tmp_path: Path) -> None:
    table = pa.table(
        {
            "path": ["a.png", "b.png"],
            "label": pa.array(["malignant", None]).dictionary_encode(),
            "patient": ["P1", "P2"],
            "magnification": pa.array([40, None], pa.int16()),
            "mpp": pa.array([0.25, float("nan")], pa.float64()),
        }
    )
    pq.write_table(table, tmp_path / "list.parquet")
    assert truths(tmp_path / "list.parquet") == {
        "a.png": Truth("malignant", "P1", None, 40.0, 0.25),
        "b.png": Truth(None, "P2"),
    }


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("patient", Truth(None, "patient")),
        ("case", Truth(None, "case")),
        ("patient,case", Truth(None, "case", "patient")),
        ("patient,slide", Truth(None, "patient", "slide")),
        ("patient,case,slide", Truth(None, "case", "slide")),
    ],
)
def test_the_unit_of_splits_is_the_case_or_else_the_patient(tmp_path: Path, columns: str, expected: Truth) -> None:
    assert truths(written(tmp_path, f"path,{columns}\na.png,{columns}\n")) == {"a.png": expected}


def test_rows_without_a_file_are_failures_not_losses(tmp_path: Path) -> None:
    (tmp_path / "good.dat").write_bytes(b"x")
    manifest = written(tmp_path, "path\ngood.dat\ngone.png\n.\n")
    found = list(discover([str(manifest)], base=tmp_path, labels="auto", classes=CLASSES))
    assert {f.path: f.problem and f.problem.error for f in found} == {
        "good.dat": None,
        "gone.png": "FileNotFoundError",
        ".": "IsADirectoryError",
    }


def test_names_survive(tmp_path: Path) -> None:
    for name in (b"with, comma.png", b"new\nline.png", "乳癌.png".encode(), b"not \xff utf-8.png"):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
            pass
    text = 'path\n"with, comma.png"\n"new\nline.png"\n乳癌.png\nnot \\xff utf-8.png\n'
    found = list(discover([str(written(tmp_path, text))], base=tmp_path, labels="auto", classes=CLASSES))
    assert [f.path for f in found] == ["with, comma.png", "new\nline.png", "乳癌.png", "not \\xff utf-8.png"]
    assert not any(f.problem for f in found)


@pytest.mark.parametrize(
    "text",
    ["\ufeffpath,label\na.png,benign\n", "path;label\r\na.png;benign\r\n", "path\tlabel\na.png\tbenign"],
    ids=["byte order mark", "semicolons", "tabs"],
)
def test_what_spreadsheets_write(tmp_path: Path, text: str) -> None:
    assert truths(written(tmp_path, text)) == {"a.png": Truth("benign")}


def test_gaps_are_filled_from_breakhis_names_but_not_the_label(tmp_path: Path) -> None:
    name = "SOB_M_DC-14-2523-100-005.png"
    assert truths(written(tmp_path, f"path,label\n{name},\n")) == {name: Truth(None, "14-2523", "14-2523", 100.0)}
    assert truths(written(tmp_path, f"path,patient\n{name},P1\n")) == {name: Truth("malignant", "P1", "14-2523", 100.0)}


def test_the_option_overrules_a_manifests_labels(tmp_path: Path) -> None:
    text = "path,label,patient\nmalignant/a.png,benign,P1\n"
    assert truths(written(tmp_path, text), "folders") == {"malignant/a.png": Truth("malignant", "P1")}
    assert truths(written(tmp_path, text), "none") == {"malignant/a.png": Truth(None, "P1")}


def test_a_table_of_predictions_gives_its_true_labels_not_its_predictions(tmp_path: Path) -> None:
    assert truths(written(tmp_path, "path,label,true_label\na.png,benign,malignant\n")) == {"a.png": Truth("malignant")}


def test_without_classes_any_label_goes(tmp_path: Path) -> None:
    assert truths(written(tmp_path, "path,label\na.png,grade 2\n"), classes=()) == {"a.png": Truth("grade 2")}


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("file,label\na.png,benign\n", "line 1 has no column 'path' (columns: file, label)", "name the column"),
        ("", "line 1 has no column 'path' (columns: none)", "name the column"),
        ("path,path\na,b\n", "has two columns named 'path'", "rename one"),
        ("path,label\na.png,benign\n,benign\n", "line 3 has no path", "fill in the column 'path'"),
        (
            "path,label\na.png,cancer\n",
            "line 2, column 'label': 'cancer' is not one of the classes (benign, malignant)",
            "correct the label",
        ),
        ('path,label\n"a\nb.png",x\n', "line 3, column 'label': 'x' is not one of the classes", "correct the label"),
        (
            "path,magnification\na.png,big\n",
            "line 2, column 'magnification': 'big' is not a positive number",
            "correct it",
        ),
        (
            "path,label\na.png,benign\nb.png,benign\n./a.png,malignant\n",
            "line 4 labels a file 'malignant' that is 'benign' in row 2",
            "remove one of the two rows",
        ),
        ("path,mpp\na.png,-1\n", "line 2, column 'mpp': '-1' is not a positive number", "correct it"),
        ("path,label\na,b.png,benign\n", "line 2 has 3 values but 2 columns", "double quotes"),
        (b"path\nok.png\nn\xe4h.png\n", "line 3, byte 2 is not UTF-8", "save it as UTF-8"),
        ("path\na.png\n".encode("utf-16"), "line 1, byte 1 is not UTF-8", "save it as UTF-8"),
        ('path\n"a"b\n', "line 2 is not valid CSV", "check its quoting"),
    ],
)
def test_a_wrong_list_is_refused_with_its_place(tmp_path: Path, text: str | bytes, message: str, fix: str) -> None:
    found_message, found_fix = refused(tmp_path, text)
    assert found_message.startswith(message)
    assert fix in found_fix


def test_the_same_row_twice_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    assert [t.label for t in truths(written(tmp_path, "path,label\na.png,benign\na.png,benign\n")).values()] == [
        "benign"
    ]


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match=r"list\.parquet cannot be read: .*; check that it is a complete"):
        truths(path)


def test_a_wrong_parquet_row_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["a.png", "b.png"], "label": ["benign", "odd"]}), tmp_path / "list.parquet")
    with pytest.raises(InputError, match=r"list\.parquet row 2, column 'label': 'odd' is not one of"):
        truths(tmp_path / "list.parquet")


def test_a_missing_path_column_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    manifest = written(tmp_path, "file\na.png\n")
    with pytest.raises(InputError):
        discover([str(manifest)], base=tmp_path, labels="auto", classes=CLASSES, stdin=io.BytesIO())
