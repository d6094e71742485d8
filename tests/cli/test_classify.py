"""`cancernet classify` as a person meets it: exit codes, stdout, stderr, files."""

import contextlib
import io
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cancernet_cli.cli.app import main
from tests.bad_folder import build_bad_folder
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


def cancernet(*words: object) -> subprocess.CompletedProcess[str]:
    """The command line in this process, which has its imports behind it."""
    said, told = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        try:
            main(list(map(str, words)))
        except SystemExit as left:
            code = int(left.code or 0)
    return subprocess.CompletedProcess(list(words), code, said.getvalue(), told.getvalue())


def new_process(
    *words: object, stdin: bytes | None = None, file_limit: int | None = None
) -> subprocess.CompletedProcess[str]:
    """The command line in a separate process."""

    def limit() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    command = [sys.executable, "-m", "cancernet_cli.cli.app", *map(str, words)]
    done = subprocess.run(command, input=stdin, capture_output=True, preexec_fn=limit, timeout=100)
    text = subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in text.stderr, text.stderr
    return text


def test_human_output_shows_the_table_and_its_path(tiny_folder: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "p.parquet"
    done = cancernet("classify", tiny_folder, "--out", out, "--model", model)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(out).to_pylist()
    assert rows[0]["path"] in done.stdout
    assert "predictions" in done.stdout
    assert "Research use only" in done.stdout
    assert f"classify: {len(rows)}/{len(rows)} files" in done.stderr


def test_json_is_one_object_on_stdout(tiny_folder: Path, model: str, tmp_path: Path) -> None:
    done = cancernet("classify", tiny_folder, "--out", tmp_path / "p.parquet", "--model", model, "--format", "json")
    result = json.loads(done.stdout)
    assert result["ok"] == result["files"] > 0
    assert result["out"] == str(tmp_path / "p.parquet")


def test_quiet_prints_nothing(tiny_folder: Path, model: str, tmp_path: Path) -> None:
    done = cancernet("classify", tiny_folder, "--out", tmp_path / "p.parquet", "--model", model, "--format", "quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_failed_files_end_with_exit_code_7(model: str, tmp_path: Path) -> None:
    expected = build_bad_folder(tmp_path / "bad")
    done = cancernet("classify", tmp_path / "bad", "--out", tmp_path / "p.parquet", "--model", model)
    assert done.returncode == 7
    failed = sum(status == "failed" for status in expected.values())
    assert f"finished, but {failed} of {len(expected)} files failed" in done.stderr
    assert "see the column error in" in done.stderr
    assert "run the same command again with --overwrite" in done.stderr


def test_a_folder_that_cannot_be_listed_ends_with_exit_code_7(
    tiny_folder: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(folder: bytes) -> Iterator[os.DirEntry[bytes]]:
        if isinstance(folder, bytes) and folder.endswith(b"/malignant"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    done = cancernet("classify", tiny_folder, "--out", tmp_path / "p.parquet", "--model", model, "--format", "quiet")
    assert done.returncode == 7
    assert "finished, but 1 folder could not be listed and may have more files" in done.stderr
    assert pq.read_table(tmp_path / "p.parquet").num_rows == 4


def test_paths_come_from_standard_input(tiny_folder: Path, model: str, tmp_path: Path) -> None:
    images = sorted(tiny_folder.rglob("*.png"))
    names = b"\0".join(str(path).encode() for path in images)
    done = new_process("classify", "-", "--out", tmp_path / "p.parquet", "--model", model, stdin=names)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "p.parquet").num_rows == len(images)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--model", "no_such_model"], 4, "there is no bundled model 'no_such_model'"),
        (["--device", "cuda:7"], 5, "no CUDA device"),
        (["--device", "abacus"], 5, "unknown device 'abacus'"),
        (["--precision", "fp16", "--device", "cpu"], 5, "fp16 is not supported on CPU"),
        (["--batch-size", "some"], 2, "use auto or an integer of at least 1"),
        (["--batch-size", "0"], 2, "--batch-size is 0"),
        (["--no-such-flag"], 2, "No such option"),
        (["--labels", "nowhere.csv"], 3, "nowhere.csv"),
        (["--out", "/proc/p.parquet"], 6, "cannot be written"),
    ],
)
def test_each_kind_of_error_has_its_exit_code(
    tiny_folder: Path, model: str, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    done = cancernet("classify", tiny_folder, "--out", tmp_path / "p.parquet", "--model", model, *words)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert [path for path in tmp_path.iterdir() if path != tiny_folder] == []


def test_a_missing_input_is_an_input_error(model: str, tmp_path: Path) -> None:
    done = cancernet("classify", tmp_path / "nowhere", "--out", tmp_path / "p.parquet", "--model", model)
    assert done.returncode == 3
    assert "nowhere" in done.stderr
    assert "fix:" in done.stderr


def test_a_full_disk_ends_with_one_sentence(tiny_folder: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "p.parquet"
    done = new_process("classify", tiny_folder, "--out", out, "--model", model, file_limit=1000)
    assert done.returncode == 6, done.stderr
    assert "cannot be written" in done.stderr
    assert not out.exists()
    again = cancernet("classify", tiny_folder, "--out", out, "--model", model)
    assert again.returncode == 0, again.stderr


def test_a_dry_run_shows_what_would_be_done(tiny_folder: Path, model: str, tmp_path: Path) -> None:
    done = cancernet("classify", tiny_folder, "--out", tmp_path / "p.parquet", "--model", model, "--dry-run")
    assert done.returncode == 0
    assert "device" in done.stdout
    assert [path for path in tmp_path.iterdir() if path != tiny_folder] == []


def test_help_shows_examples() -> None:
    done = cancernet("classify", "--help")
    assert done.returncode == 0
    assert "cancernet classify ./slides --out preds.parquet" in done.stdout
