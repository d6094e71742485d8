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
