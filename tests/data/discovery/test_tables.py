"""Lists as other programs write them: old Mac, Excel, Windows, R and pandas."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.records import Truth
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.data.discovery.tables import TextTable
from cancernet_cli.data.splits.given_splits import read_given
from cancernet_cli.data.splits.pairs import list_pairs
from cancernet_cli.data.tiles.annotation_files import find_annotations

CLASSES = ("benign", "malignant")


def truths(manifest: Path, classes: tuple[str, ...] = CLASSES) -> dict[str, Truth]:
    base = resolve_base([str(manifest)])
    return {f.path: f.truth for f in discover([str(manifest)], base=base, labels="auto", classes=classes)}


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cr.csv", "path,label,patient\ra.png,benign,P1\rb.png,,P2\r"),
        ("cr.csv", "path,label,patient\ra.png,benign,P1\rb.png,,P2\n"),  # a last line that a script added
        ("bom.csv", '\ufeffpath,label,patient\r"a.png",benign,P1\rb.png,,P2'),
        ("excel.csv", "sep=;\npath;label;patient\na.png;benign;P1\nb.png;;P2\n"),
        ("excel.csv", '"sep=|"\r\npath|label|patient\r\na.png|benign|P1\r\nb.png||P2\r\n'),
        ("excel.csv", "\ufeffSEP=,\rpath,label,patient\ra.png,benign,P1\rb.png,,P2"),
        ("list.tsv", "path\tlabel\tpatient\na.png\tbenign\tP1\nb.png\t\tP2\n"),
        ("LIST.TSV", "path\tlabel\tpatient\ta, b\na.png\tbenign\tP1\t\nb.png\t\tP2\tx\n"),
        ("list.tab", "path\tlabel\tpatient\r\na.png\tbenign\tP1\r\nb.png\t\tP2\r\n"),
    ],
)
def test_line_ends_and_separators(tmp_path: Path, name: str, text: str) -> None:
    assert truths(written(tmp_path / name, text)) == {"a.png": Truth("benign", "P1"), "b.png": Truth(None, "P2")}


def test_line_numbers_are_those_of_an_editor(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"excel.csv line 4, column 'label': 'odd' is not one of the classes"):
        truths(written(tmp_path / "excel.csv", "sep=;\npath;label\na.png;benign\nb.png;odd\n"))
    with pytest.raises(InputError, match=r"cr.csv line 3, column 'label'"):
        truths(written(tmp_path / "cr.csv", "path,label\ra.png,benign\rb.png,odd\r"))
    (tmp_path / "cr.csv").write_bytes(b"path,label\r\xff.png,benign\r")
    with pytest.raises(InputError, match=r"cr.csv line 2, byte 1 is not UTF-8"):
        truths(tmp_path / "cr.csv")


@pytest.mark.skipif(os.sep != "/", reason="backslashes are separators")
def test_paths_from_windows(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    for name in ("img/a.png", "img/xab.png", "back\\slash.png", "not\\xff.png"):
        (tmp_path / name).touch()
    (tmp_path / os.fsdecode(b"byte\xff.png")).touch()
    text = "path\nimg\\a.png\n.\\img\\xab.png\nback\\slash.png\nnot\\x5cxff.png\nbyte\\xff.png\nimg\\gone.png\n"
    listed = [str(file) for file in truths(written(tmp_path / "list.csv", text))]
    assert listed == ["img/a.png", "img/xab.png", "back\\slash.png", "not\\x5cxff.png", "byte\\xff.png", "img/gone.png"]


@pytest.mark.skipif(os.sep != "/", reason="backslashes are separators")
def test_every_list_of_paths_may_be_from_windows(tmp_path: Path) -> None:
    written(tmp_path / "img" / "a.svs", "x")
    written(tmp_path / "img" / "a_mask.png", "x")
    notes = written(tmp_path / "notes.geojson", "{}")
    columns = "path,image,mask,patient,split,annotations"
    row = r"img\a.svs,img\a_mask.png,img\a_mask.png,P1,train,.\notes.geojson"
    other = "b.svs,img/a_mask.png,img/a_mask.png,P2,test,"
    listed = written(tmp_path / "list.csv", f"{columns}\n{row}\n{other}\n")
    slide = os.fsencode(tmp_path / "img" / "a.svs")
    given = read_given([listed], tmp_path, [slide], prefer="split")
    assert given is not None
    assert given.values.tolist() == ["train"]
    assert find_annotations([slide], [listed], tmp_path) == {slide: notes}
    assert list_pairs([str(listed)])[0].image == tmp_path / "img" / "a_mask.png"


@pytest.mark.parametrize("word", ["NA", "na", "nan", "NaN", "None", "NULL", "N/A", "#N/A", "<NA>", " NA ", ""])
def test_unknown_patients_are_nobody(tmp_path: Path, word: str) -> None:
    text = f"path,label,patient,slide,mpp\na.png,benign,{word},{word},{word}\nb.png,{word},7,S1,0.5\n"
    expected = {"a.png": Truth("benign"), "b.png": Truth(None, "7", "S1", None, 0.5)}
    assert truths(written(tmp_path / "list.csv", text)) == expected
    columns = {"path": ["a.png", "b.png"], "label": ["benign", word], "patient": [word, "7"], "slide": [word, "S1"]}
    pq.write_table(pa.table({**columns, "mpp": [None, 0.5]}), tmp_path / "list.parquet")
    assert truths(tmp_path / "list.parquet") == expected


def test_a_class_may_be_called_none(tmp_path: Path) -> None:
    listed = written(tmp_path / "list.csv", "path,label\na.png,None\nb.png,NA\n")
    assert truths(listed, ("none", "tumor")) == {"a.png": Truth("none"), "b.png": Truth()}


def test_a_folder_named_na_is_no_patient(tmp_path: Path) -> None:
    for name in ("benign/P1/a.png", "benign/P2/b.png", "malignant/NA/c.png", "malignant/NA/d.png"):
        written(tmp_path / name.split("/")[0] / "x", "").parent.joinpath(name.split("/")[1]).mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = {f.path: f.truth.patient for f in discover([str(tmp_path)], base=tmp_path, labels="auto", classes=CLASSES)}
    assert found == {
        "benign/P1/a.png": "P1",
        "benign/P2/b.png": "P2",
        "malignant/NA/c.png": None,
        "malignant/NA/d.png": None,
    }


def test_a_parquet_file_gives_the_text_of_a_csv(tmp_path: Path) -> None:
    columns = {
        "path": ["a.png ", "b.png", "c.png"],
        "label": [" benign", "malignant ", ""],
        "patient": [7.0, 8.0, None],
        "slide": [b"S1", b" S2 ", None],
        "magnification": [40.0, None, 20.0],
        "mpp": [0.25, float("nan"), 1.0],
    }
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    header = "path,label,patient,slide,magnification,mpp"
    text = f"{header}\na.png , benign,7,S1,40,0.25\nb.png,malignant ,8, S2 ,,\nc.png,,,,20,1\n"
    expected = {
        "a.png": Truth("benign", "7", "S1", 40.0, 0.25),
        "b.png": Truth("malignant", "8", "S2"),
        "c.png": Truth(None, None, None, 20.0, 1.0),
    }
    assert truths(tmp_path / "list.parquet") == truths(written(tmp_path / "list.csv", text)) == expected


def test_a_patient_number_0_is_a_patient(tmp_path: Path) -> None:
    columns = {"image": ["a.png", "b.png"], "mask": ["a_m.png", "b_m.png"], "patient": [0.0, 1.0]}
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    assert [pair.patient for pair in list_pairs([str(tmp_path / "list.parquet")])] == ["0", "1"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'path,label\n"a.png,benign\n', "is not valid CSV"),
        (b'"path,label\n', "is not valid CSV|has no column 'path'"),
        (b"\xff\xfep\0a\0t\0h\0\n\0", "is not UTF-8"),
        (b"path\0,label\n", "has no column 'path'|is not valid CSV"),
        (b"sep=;\n", "has no column 'path'"),
        (b"", "has no column 'path'"),
        (b"PK\3\4\x14\0\6\0\x08\0\xff\xff", "is not UTF-8"),
    ],
)
def test_anything_else_is_refused_with_a_hint(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        truths(tmp_path / "list.csv")
    assert caught.value.fix


def test_a_parquet_time_out_of_range_is_refused(tmp_path: Path) -> None:
    far = pa.array([2**62], pa.timestamp("us"))
    pq.write_table(pa.table({"path": ["a.png"], "patient": far}), tmp_path / "list.parquet")
    with pytest.raises(InputError, match=r"list.parquet cannot be read: "):
        list(TextTable(tmp_path / "list.parquet", ("path", "patient")))
