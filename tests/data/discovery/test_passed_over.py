"""What a search of folders passes over: outputs, hidden files, files of systems, and files with other endings."""

from __future__ import annotations

from pathlib import Path

import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import mark_output
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.data.discovery.passed_over import PassedOver

DICOM = b"\0" * 128 + b"DICM"


def search(*inputs: Path | str, kind: str = "image") -> tuple[list[str], list[str], list[str]]:
    """Paths, messages about what was passed over, and problems."""
    names, said, problems = [str(one) for one in inputs], list[str](), list[str]()
    found = discover(
        names,
        base=resolve_base(names),
        labels="none",
        classes=(),
        kind=kind,  # type: ignore[arg-type]
        on_passed_over=said.append,
        on_problem=problems.append,
    )
    return sorted(file.path for file in found), said, problems


def touch(root: Path, *names: str, content: bytes = b"x") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def output(folder: Path, *names: str) -> Path:
    assert mark_output(folder)
    return touch(folder, *names)


def test_folders_that_cancernet_wrote_are_passed_over_and_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "deep/b.png")
    output(tmp_path / "overlays", "a.png.jpg", "more/b.png")
    output(tmp_path / "deep" / "masks", "b.png")
    (tmp_path / "link").symlink_to(tmp_path / "overlays")
    assert search(tmp_path) == (["a.png", "deep/b.png"], ["passed over 3 folders that CancerNet wrote"], [])


@pytest.mark.parametrize("pattern", ["**/*.jpg", "*", "over*/*.jpg"])
def test_patterns_pass_outputs_over(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, "images/a.jpg", "overstained/b.jpg")
    output(tmp_path / "overlays", "a.jpg")
    found, said, _ = search(f"{tmp_path}/{pattern}")
    assert "overlays/a.jpg" not in found
    assert "overstained/b.jpg" in found
    assert said == ["passed over 1 folder that CancerNet wrote"]


def test_what_is_named_is_searched_although_cancernet_wrote_it(tmp_path: Path) -> None:
    tiles = output(tmp_path / "tiles", "slide.tiles/x0_y0.png")
    listed = tmp_path / "list.csv"
    listed.write_text("path\ntiles/slide.tiles/x0_y0.png\n")
    assert search(tiles / "slide.tiles")[0] == ["x0_y0.png"]
    assert search(listed)[0] == ["tiles/slide.tiles/x0_y0.png"]
    assert search(tiles / "slide.tiles" / "x0_y0.png")[0] == ["x0_y0.png"]
    found, said, problems = search(tiles)
    assert (found, said) == (["slide.tiles/x0_y0.png"], [])
    assert problems == [f"{tiles} is a folder that CancerNet wrote; it is searched because it is named"]


def test_hidden_files_and_those_of_systems_are_passed_over(tmp_path: Path) -> None:
    junk = ["._a.png", ".DS_Store", "Thumbs.db", "Desktop.ini", ".hidden/b.png", "__MACOSX/c.png", "@eaDir/a.png/S.jpg"]
    touch(tmp_path, "a.png", *junk)
    assert search(tmp_path) == (["a.png"], ["passed over 7 hidden files and folders"], [])
    assert search(f"{tmp_path}/**/*.png")[0] == ["a.png"]
    assert search(tmp_path / "._a.png")[0] == ["._a.png"], "named files are taken"
    assert search(tmp_path / ".hidden")[0] == ["b.png"], "and so are named folders"
    assert search(f"{tmp_path}/.*/*.png")[0] == [".hidden/b.png"], "and patterns for hidden names"


def test_other_files_are_counted_by_ending(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.TXT", "c.txt", "d.csv", "README", "e.xml", "f.json", "g.yaml", "h.svs")
    found, (words,), _ = search(tmp_path)
    assert found == ["a.png"]
    assert (
        words == "passed over 8 files that are no input (.txt 2, no ending 1, .csv 1, .json 1, .svs 1, 2 more endings)"
    )
    assert search(touch(tmp_path / "clean", "a.png"))[1] == []
    assert search(touch(tmp_path / "one", "a.png", "b.txt"))[1] == ["passed over 1 file that is no input (.txt 1)"]


def test_an_ending_with_control_characters_is_shown_on_one_line() -> None:
    counts = PassedOver()
    counts.add_file(b"a.x\x1b[31m\n\xff")
    assert counts.words == r"passed over 1 file that is no input (.x\x1b[31m\n\xff 1)"


def test_parts_of_a_slide_are_not_counted(tmp_path: Path) -> None:
    touch(tmp_path, "s.mrxs", "s/Slidedat.ini", "s/Data0001.dat")
    assert search(tmp_path, kind="auto") == (["s.mrxs"], [], [])


def test_dicom_files_without_an_ending_are_slides(tmp_path: Path) -> None:
    touch(tmp_path, "IM0001", "1.2.840.10008.5", content=DICOM)
    touch(tmp_path, "README", "short.1", "notes.txt", "DICOMDIR")
    found, said, _ = search(tmp_path, kind="auto")
    assert found == ["1.2.840.10008.5", "IM0001"]
    assert said == ["passed over 4 files that are no input (no ending 2, .1 1, .txt 1)"]
    assert search(tmp_path)[0] == [], "where slides are not wanted, neither are these"


def test_slides_of_every_ending_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "a.qptiff", "b.dcm")
    assert search(tmp_path, kind="auto")[0] == ["a.qptiff", "b.dcm"]


def test_a_pattern_that_matches_outputs_only_is_refused(tmp_path: Path) -> None:
    output(tmp_path / "overlays", "a.jpg")
    with pytest.raises(InputError, match="no image or folder matches"):
        search(f"{tmp_path}/over*")
