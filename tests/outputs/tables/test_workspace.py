import os
import subprocess
import sys
from pathlib import Path

import pytest

from cancernet_cli.core.errors import OutputError
from cancernet_cli.outputs.tables.workspace import Workspace


def test_parts_made_with_other_options_are_refused_and_kept(tmp_path: Path) -> None:
    first = Workspace(tmp_path / "p.parquet")
    first.adopt({"model": "a"}, overwrite=False)
    first.part(0).write_bytes(b"rows")
    first.close()
    second = Workspace(tmp_path / "p.parquet")
    with pytest.raises(OutputError) as caught:
        second.adopt({"model": "b"}, overwrite=False)
    assert "unfinished run made with model 'a' (now 'b')" in caught.value.message
    assert "--overwrite" in caught.value.fix
    assert first.part(0).exists()
    third = Workspace(tmp_path / "p.parquet")
    third.adopt({"model": "b"}, overwrite=True)
    assert third.parts() == {}


def test_an_empty_workspace_leaves_nothing_behind(tmp_path: Path) -> None:
    Workspace(tmp_path / "p.parquet").close()
    assert list(tmp_path.iterdir()) == []


def test_two_runs_with_one_output_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "p.parquet"
    held = Workspace(out)
    code = (
        "import sys; from pathlib import Path; from cancernet_cli.outputs.tables.workspace import Workspace\n"
        "from cancernet_cli.core.errors import OutputError\n"
        "try: Workspace(Path(sys.argv[1]))\n"
        "except OutputError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, text=True, check=True)
    assert "another run is writing" in done.stdout
    held.close()


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be written: .*; choose another --out"):
        Workspace(tmp_path / "file" / "p.parquet")


def test_files_that_are_not_numbered_are_no_parts(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "p.parquet")
    for name in ("part-abc.parquet", "part-.parquet", "part-²2.parquet", "part-00000003.parquet"):
        (workspace.folder / name).touch()
    assert list(workspace.parts()) == [3]
    assert workspace.next_number() == 4
    workspace.remove()


@pytest.mark.parametrize("name", ["lock", "whole.parquet", "state.json", "files.sqlite"])
def test_a_planted_link_is_refused_and_its_target_left_alone(tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "p.parquet.partial").mkdir()
    (tmp_path / "p.parquet.partial" / name).symlink_to(target)
    with pytest.raises(OutputError) as caught:
        Workspace(tmp_path / "p.parquet")
    assert caught.value.exit_code == 6
    assert target.read_text() == "precious"


def test_the_link_of_a_lock_creates_nothing(tmp_path: Path) -> None:
    (tmp_path / "p.parquet.partial").mkdir()
    (tmp_path / "p.parquet.partial" / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(OutputError):
        Workspace(tmp_path / "p.parquet")
    assert not (tmp_path / "target").exists()


def test_the_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "p.parquet.partial"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    space = Workspace(tmp_path / "p.parquet")
    assert folder.stat().st_mode & 0o777 == 0o700
    space.close()


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "p.parquet.partial").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is a link, not a folder; remove it"):
        Workspace(tmp_path / "p.parquet")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders have no owner here")
def test_somebody_elses_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.parquet.partial").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(OutputError, match="belongs to another user; choose another --out"):
        Workspace(tmp_path / "p.parquet")
