import io
import os
import socket
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import real_path
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.inputs import resolve_base
from tests.bad_folder import build_bad_folder

CLASSES = ("benign", "malignant")


def find(*inputs: Path | str, labels: str = "none", **options: object) -> list[FoundFile]:
    names = [str(one) for one in inputs]
    return list(discover(names, base=resolve_base(names), labels=labels, classes=CLASSES, **options))  # type: ignore[arg-type]


def paths(*inputs: Path | str, **options: object) -> list[str]:
    found = [file.path for file in find(*inputs, **options)]
    assert len(set(found)) == len(found)
    return sorted(found)


def problems(files: list[FoundFile]) -> dict[str, str]:
    return {file.path: str(file.problem) for file in files if file.problem}


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def test_a_folder_gives_images_of_every_ending_at_any_depth(tmp_path: Path) -> None:
    images = [
        "a.png",
        "b.JPG",
        "c.jpeg",
        "d.jpe",
        "e.tif",
        "f.TIFF",
        "g.bmp",
        "h.webp",
        "deep/er/i.png",
        "j.jfif",
    ]
    touch(tmp_path, *images, "notes.txt", ".DS_Store", "Thumbs.db", "deep/png", "table.csv")
    assert paths(tmp_path) == sorted(images)


def test_size_time_and_location_are_the_files(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (file,) = find(tmp_path)
    status = (tmp_path / "a.png").stat()
    assert (file.size_bytes, file.mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert file.location == os.fsencode(tmp_path / "a.png")
    assert file.problem is None


def test_the_bad_folder_has_its_rows_and_no_other(tmp_path: Path) -> None:
    expected = build_bad_folder(tmp_path / "bad")
    files = find(tmp_path / "bad")
    assert sorted(file.path for file in files) == sorted(expected)
    assert problems(files) == {
        "dangling.png": "discover: FileNotFoundError: a broken link to gone.png",
        "ring_a.png": "discover: OSError: a symbolic link loop",
        "ring_b.png": "discover: OSError: a symbolic link loop",
    }
    for file in files:
        assert os.path.join(os.fsencode(tmp_path / "bad"), real_path(file.path)) == file.location


def test_real_folders_come_before_links_to_them(tmp_path: Path) -> None:
    touch(tmp_path, "m/x.png", "m/n/y.png")
    (tmp_path / "a").symlink_to("m/n")
    (tmp_path / "z").symlink_to("m")
    assert paths(tmp_path) == ["m/n/y.png", "m/x.png"]


def test_links_out_of_the_folder_are_followed_once_in_name_order(tmp_path: Path) -> None:
    touch(tmp_path, "outside/x.png", "outside/sub/y.png", "inside/z.png")
    (tmp_path / "inside" / "b").symlink_to("../outside")
    (tmp_path / "inside" / "a").symlink_to("../outside/sub")
    (tmp_path / "inside" / "c").symlink_to("../outside")
    assert paths(tmp_path / "inside") == ["a/y.png", "b/x.png", "z.png"]


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "data")
    (tmp_path / "b.png").symlink_to("a.png")
    (tmp_path / "c.png").symlink_to("data")
    (tmp_path / "d").symlink_to("a.png")  # no image's ending
    assert paths(tmp_path) == ["a.png", "b.png", "c.png"]


def test_pipes_and_sockets_in_a_folder_are_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("pipe.png")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
    assert paths(tmp_path) == ["a.png"]


def test_a_pipe_named_explicitly_is_a_failure_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert problems(find(tmp_path / "pipe.png")) == {"pipe.png": "discover: OSError: a FIFO, not a regular file"}


def test_named_files_need_no_image_ending(tmp_path: Path) -> None:
    touch(tmp_path, "scan.dat", "b.png")
    (tmp_path / "gone.png").symlink_to("nowhere")
    files = find(tmp_path / "scan.dat", tmp_path / "b.png", tmp_path / "gone.png")
    assert sorted(file.path for file in files) == ["b.png", "gone.png", "scan.dat"]
    assert list(problems(files)) == ["gone.png"]


def test_overlapping_inputs_do_not_walk_a_folder_twice(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png", "a/b/y.png")
    for inputs in ((tmp_path / "a", tmp_path / "a" / "b"), (tmp_path / "a" / "b", tmp_path / "a")):
        assert paths(*inputs) == ["b/y.png", "x.png"]


def test_a_linked_input_takes_its_name_from_the_link(tmp_path: Path) -> None:
    touch(tmp_path, "real/x.png")
    (tmp_path / "link").symlink_to("real")
    assert paths(tmp_path / "link") == ["x.png"]
    assert paths(tmp_path / "link", tmp_path / "real") == paths(tmp_path / "real", tmp_path / "link") == ["real/x.png"]


def test_excluded_folders_are_not_entered(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "out/b.png", "sub/out/c.png")
    (tmp_path / "link").symlink_to("out")
    assert paths(tmp_path, exclude=[tmp_path / "out", tmp_path / "not yet"]) == ["a.png", "sub/out/c.png"]
    assert paths(tmp_path / "**/*.png", exclude=[tmp_path / "out"]) == ["a.png", "sub/out/c.png"]
    assert paths(tmp_path / "out", exclude=[tmp_path / "out"]) == ["b.png"]  # asked for by name


def test_a_folder_that_cannot_be_listed_is_reported_and_the_rest_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.png", "locked/b.png")
    scandir = os.scandir

    def refuse(folder: bytes) -> Iterator[os.DirEntry[bytes]]:
        if folder.endswith(b"locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    said: list[str] = []
    counted: list[bool] = []
    assert paths(tmp_path, on_problem=said.append, on_unlisted=lambda: counted.append(True)) == ["a.png"]
    assert len(counted) == 1
    assert said == [f"{tmp_path}/locked cannot be listed and is skipped: Permission denied"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["a.png"]),
        ("**/*.png", ["a.png", "s/b.png", "s/t/c.png"]),
        ("s/**/c.*", ["t/c.png"]),
        ("**", ["a.png", "s/b.png", "s/t/c.png"]),  # folders that match are walked
        ("s/*", ["b.png", "t/c.png"]),
        ("?/t/[a-c].png", ["s/t/c.png"]),
        ("*/b.png", ["s/b.png"]),
        ("s/.*.png", [".d.png"]),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    touch(tmp_path, "a.png", "s/b.png", "s/t/c.png", "s/.d.png", "notes.txt")
    found = {file.path for file in find(f"{tmp_path}/{pattern}")}  # what a folder and a file of it match comes twice
    assert sorted(found) == expected


def test_patterns_with_loops_of_links_end(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.png")
    (tmp_path / "s" / "loop").symlink_to("..")
    assert paths(f"{tmp_path}/**/*.png") == ["s/a.png"]


def test_a_pattern_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(InputError, match=r"no image or folder matches '.*\*\.txt'; correct the pattern"):
        find(f"{tmp_path}/*.txt")


def test_standard_input_separated_by_newlines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.png", "b c.png", "ü.dat")
    monkeypatch.chdir(tmp_path)
    stream = io.BytesIO("a.png\n\nb c.png\r\nü.dat\ngone.png\n.".encode())
    files = find("-", stdin=stream)
    assert [file.path for file in files] == ["a.png", "b c.png", "ü.dat", "gone.png", "."]
    assert problems(files) == {
        "gone.png": "discover: FileNotFoundError: no such file",
        ".": "discover: IsADirectoryError: a folder, not a file",
    }


def test_standard_input_separated_by_nul_keeps_newlines_in_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a\nb.png", "c.png")
    (Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xff.png")))).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    files = find("-", stdin=io.BytesIO(b"a\nb.png\0c.png\0\xff.png\0"))
    assert [file.path for file in files] == ["a\nb.png", "c.png", "\\xff.png"]
    assert not problems(files)


def test_names_longer_than_a_chunk_of_standard_input_stay_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"{i:0200d}.png" for i in range(1000)]
    assert [file.path for file in find("-", stdin=io.BytesIO("\n".join(names).encode()))] == names


def test_files_outside_the_base_are_named_with_dots(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "m.csv").write_text("path\n../images/a.png\n")
    assert paths(tmp_path / "lists" / "m.csv") == ["../images/a.png"]


def test_memory_does_not_grow_with_the_number_of_files_and_folders(tmp_path: Path) -> None:
    source = touch(tmp_path, "one.png") / "one.png"

    def peak(files: int, folders: int) -> int:
        root = tmp_path / f"{files}"
        for number in range(folders):
            (root / f"f{number}").mkdir(parents=True)
        for number in range(files):
            (root / "f0" / f"{number}.png").symlink_to(source)
        tracemalloc.start()
        count = sum(1 for _ in discover([str(root)], base=root, labels="auto", classes=CLASSES))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == files
        return most

    small = peak(20, 2)
    assert peak(4000, 1000) < small + 100_000
