"""Whole files or none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.files import (
    atomic_write,
    check_output_folder,
    is_output,
    mark_output,
    output_error,
    publish,
    write_bytes,
)


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder" / "a.bin"
    with atomic_write(out) as temporary:
        temporary.write_bytes(b"whole")
        assert not out.exists()
        assert temporary.parent == out.parent
    assert out.read_bytes() == b"whole"
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_and_no_rubbish(tmp_path: Path, error: type[BaseException]) -> None:
    out = tmp_path / "a.bin"
    out.write_bytes(b"old")

    def write_half() -> None:
        with atomic_write(out) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_full_disk_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught, atomic_write(tmp_path / "a.bin"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value) == (
        f"{tmp_path}/a.bin cannot be written: No space left on device; free some disk space, or choose another --out"
    )
    assert caught.value.exit_code == 6
    assert not list(tmp_path.iterdir())


def test_really_full_disk(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    with pytest.raises(OutputError, match="No space left"), atomic_write(tmp_path / "a"):
        Path("/dev/full").write_bytes(b"x")


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="remove the folder of that name"):
        write_bytes(tmp_path / "out", b"x")
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_file_among_the_parents(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="part of the path is a file"):
        write_bytes(tmp_path / "file" / "below" / "a", b"x")


def test_a_database_that_finds_the_disk_full_asks_for_space() -> None:
    words = str(output_error(Path("p.parquet"), OSError("database or disk is full")))
    assert words.startswith("p.parquet cannot be written: database or disk is full; free some disk space")


def test_a_device_is_not_replaced() -> None:
    with pytest.raises(OutputError, match="not a regular file"):
        write_bytes(Path("/dev/null"), b"x")


@pytest.mark.parametrize("name", [b"new\nline", b"bad\xff\xfe", "grün 乳.png".encode(), b"n" * 255])
def test_any_name_the_file_system_takes(tmp_path: Path, name: bytes) -> None:
    out = tmp_path / os.fsdecode(name)
    write_bytes(out, b"x", durable=False)
    assert os.listdir(os.fsencode(tmp_path)) == [name]


def test_the_error_of_an_undecodable_name_can_be_printed(tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode(b"bad\xff")
    out.mkdir()
    with pytest.raises(OutputError) as caught:
        write_bytes(out, b"x")
    assert r"bad\xff" in str(caught.value)
    str(caught.value).encode()


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_a_finished_file_replaces_the_old_one(tmp_path: Path) -> None:
    made, out = tmp_path / "made", tmp_path / "out"
    made.write_bytes(b"new")
    out.write_bytes(b"old")
    publish(made, out)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("out", b"new")]
    made.write_bytes(b"newer")
    with pytest.raises(OutputError, match="/dev/null is not a regular file"):
        publish(made, Path("/dev/null"))
    with pytest.raises(OutputError, match=r"gone cannot be written: the folder does not exist or accepts no new files"):
        publish(tmp_path / "missing", tmp_path / "gone")


def test_an_output_folder_with_output_is_refused_unless_it_may_be_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    check_output_folder(out, overwrite=False)  # not there yet
    out.mkdir()
    check_output_folder(out, overwrite=False)  # empty
    (out / ".hidden").touch()
    check_output_folder(out, overwrite=False, marker="card.toml")
    with pytest.raises(OutputError, match=r"out is not empty; choose another --out, or pass --overwrite"):
        check_output_folder(out, overwrite=False)
    (out / "card.toml").touch()
    with pytest.raises(OutputError, match=r"out already has card\.toml; choose another --out, or pass --overwrite"):
        check_output_folder(out, overwrite=False, marker="card.toml")
    check_output_folder(out, overwrite=True)
    with pytest.raises(OutputError, match=r"card\.toml is a file; choose another --out"):
        check_output_folder(out / "card.toml", overwrite=True)


def test_an_output_folder_is_marked_unless_it_has_other_files(tmp_path: Path) -> None:
    assert mark_output(tmp_path / "new" / "overlays")
    assert is_output(os.fsencode(tmp_path / "new" / "overlays"))
    assert mark_output(tmp_path / "new"), "all it has is an output"
    assert mark_output(tmp_path / "new"), "and again"
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    assert not mark_output(tmp_path / "images")
    assert not is_output(os.fsencode(tmp_path / "images"))


def test_a_marked_folder_without_output_may_be_written_to(tmp_path: Path) -> None:
    mark_output(tmp_path / "out")
    check_output_folder(tmp_path / "out", overwrite=False)
    (tmp_path / "out" / "report.md").touch()
    with pytest.raises(OutputError, match="is not empty"):
        check_output_folder(tmp_path / "out", overwrite=False)
