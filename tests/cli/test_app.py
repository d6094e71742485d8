"""The entry point: commands from one list, and readers of a pipe that leave early."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cancernet_cli
from cancernet_cli import cli, engine
from cancernet_cli.cli.app import build_app, main
from cancernet_cli.cli.process.shortages import shortage
from cancernet_cli.core import options
from cancernet_cli.core.cards import RenamedKey

TOY = {
    options: """
from dataclasses import dataclass
from cancernet_cli.core.options.base import Options, option

@dataclass(frozen=True, kw_only=True)
class ToyOptions(Options):
    times: int = option(2, help="Repetitions.", min=1, group="Toys")
""",
    engine: """
def toy(word, options):
    return " ".join([word] * options.times)
""",
    cli: '''
from cancernet_cli.cli import output
from cancernet_cli.cli.bind import options_from
from cancernet_cli.core.options.toy import ToyOptions

@options_from(ToyOptions)
def toy(word: str, *, options: ToyOptions) -> None:
    """Repeat a word.

    Examples:

        cancernet toy yes --times 3
    """
    from cancernet_cli.engine.toy import toy as repeat

    output.line(repeat(word, options))
''',
}


def test_a_subcommand_is_three_files_and_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, text in TOY.items():
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "toy.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        monkeypatch.delitem(sys.modules, f"{package.__name__}.toy", raising=False)
        monkeypatch.delattr(package, "toy", raising=False)
    monkeypatch.setattr(cancernet_cli, "VERBS", (*cancernet_cli.VERBS, "toy"))
    app = build_app(cancernet_cli.VERBS)
    done = CliRunner().invoke(app, ["toy", "yes", "--times", "3"])
    assert (done.exit_code, done.output) == (0, "yes yes yes\n")
    assert "cancernet toy yes --times 3" in CliRunner().invoke(app, ["--help"]).output
    assert "Toys" in CliRunner().invoke(app, ["toy", "--help"]).output
    assert cancernet_cli.toy("no", cancernet_cli.ToyOptions()) == "no no"
    with pytest.raises(cancernet_cli.core.errors.OptionError, match="--times is 0; use an integer of at least 1"):
        cancernet_cli.ToyOptions(times=0)


def test_an_unknown_name_is_no_attribute_of_the_package() -> None:
    for name in ("nothing", "Nothing", "NothingOptions", "baseOptions"):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
            getattr(cancernet_cli, name)


CALLS = [
    ["--help"],
    ["classify", "--help"],
    ["models", "list"],
    ["models", "show"],
    ["models", "show", "--format", "json"],
    ["--version"],
]


@pytest.mark.parametrize("arguments", CALLS, ids=" ".join)
def test_a_reader_that_leaves_early_is_no_failure(arguments: list[str]) -> None:
    # Unbuffered, so that a write meets the closed pipe, and buffered, so that only the last flush does.
    for flags in (["-u"], []):
        call = [sys.executable, *flags, "-m", "cancernet_cli", *arguments]
        process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        complaints = process.stderr.read()
        process.stderr.close()
        assert (process.wait(), complaints) == (0, b"")


def test_the_exit_code_stays_when_the_reader_of_errors_leaves() -> None:
    call = [sys.executable, "-m", "cancernet_cli", "models", "show", "no such model"]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for stream in (process.stdout, process.stderr):
        assert stream
        stream.close()
    assert process.wait() == 4


def test_warnings_for_the_user_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    capsys.readouterr()
    assert warnings.formatwarning("a is now b", RenamedKey, "cards.py", 1) == "warning: a is now b\n"  # type: ignore[arg-type]
    assert "cards.py:1: UserWarning: other" in warnings.formatwarning("other", UserWarning, "cards.py", 1)  # type: ignore[arg-type]


def shell(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    words = ["sh", "-c", command, sys.executable]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=100, env=os.environ | variables)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_standard_output_is_one_sentence() -> None:
    found = shell('"$0" -m cancernet_cli --version > /dev/full')
    assert found.returncode == 6
    assert found.stderr.startswith("error: standard output cannot be written: No space left on device\n  fix: ")
    assert len(found.stderr.splitlines()) == 2


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_exit_code(closed: str) -> None:
    assert shell(f'"$0" -m cancernet_cli --version {closed}').returncode == 0
    assert shell(f'"$0" -m cancernet_cli evaluate missing.parquet {closed}').returncode == 3


def test_output_without_unicode_is_escaped() -> None:
    found = shell('"$0" -m cancernet_cli evaluate d\u00e9j\u00e0.parquet', PYTHONIOENCODING="ascii")
    assert found.returncode == 3
    assert "Traceback" not in found.stderr
    code = "from cancernet_cli.cli import output; from cancernet_cli.cli.process import streams; "
    code += "streams.prepare_streams(); output.line('d\\u00e9j\\u00e0')"
    assert shell(f'"$0" -c "{code}"', PYTHONIOENCODING="ascii").stdout == "d\\xe9j\\xe0\n"


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError(), True),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("shapes do not match"), False),
        (ImportError("No module named 'toy'"), False),
    ],
)
def test_too_little_memory_is_a_problem_of_the_machine(error: Exception, is_one: bool) -> None:
    found = shortage(error)
    assert (found is not None) == is_one
    assert found is None or found.exit_code == 5
