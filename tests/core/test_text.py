"""Text from files becomes one plain line wherever it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from cancernet_cli.cli import output
from cancernet_cli.cli.progress import Lines
from cancernet_cli.cli.render.result import present_result
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Note, Warn
from cancernet_cli.core.records import Failure, RunResult
from cancernet_cli.core.text import one_line
from cancernet_cli.outputs.reports.markdown import escape, table

EVIL = "a\x1b[2J\r\nb\x9b31m\u202egnp.exe\u2028\udcff\x00\x7f\t\u200b"
SHOWN = r"a\x1b[2J\r\nb\x9b31m\u202egnp.exe\u2028\udcff\x00\x7f\t\u200b"


def is_plain(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def test_control_characters_are_escaped() -> None:
    assert one_line(EVIL) == SHOWN
    assert one_line(SHOWN) == SHOWN
    assert one_line("Ünïcode 乳癌 µm 🔬 ½") == "Ünïcode 乳癌 µm 🔬 ½"


def test_messages_of_errors_and_failures_are_one_line() -> None:
    error = InputError(f"{EVIL} failed", fix=f"remove {EVIL}")
    assert (error.message, error.fix, str(error)) == (
        f"{SHOWN} failed",
        f"remove {SHOWN}",
        f"{SHOWN} failed; remove {SHOWN}",
    )
    assert str(Failure("read", "OSError", EVIL)) == f"read: OSError: {SHOWN}"


def test_what_is_printed_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    output.line(EVIL)
    output.talk(EVIL)
    output.error(InputError(EVIL, fix=EVIL))
    printed = capsys.readouterr()
    assert printed.out == f"{SHOWN}\n"
    assert printed.err == f"{SHOWN}\nerror: {SHOWN}\n  fix: {SHOWN}\n"


def test_events_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    report = Lines()
    report(Note(EVIL))
    report(Warn(EVIL))
    assert capsys.readouterr().err == f"{SHOWN}\nwarning: {SHOWN}\n"


def test_rendered_parts_are_plain_and_keep_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    shown = Table()
    shown.add_column("model")
    shown.add_row(Text("x\x1b[31m\u202e"))
    output.show(shown, "two\nlines", Text("three\x9b"))
    printed = capsys.readouterr().out
    assert is_plain(printed)
    assert r"x\x1b[31m\u202e" in printed
    assert "two\nlines\nthree\\x9b\n" in printed


def test_a_result_with_names_from_anywhere_is_plain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = tmp_path / "p.parquet"
    row = {"path": "x\x1b[31m.png", "label": "b\x1b[1m", "prob_b\x1b[1m": 0.9, "status": "ok", "true_label": "m\x9b"}
    pq.write_table(pa.table({name: [value] for name, value in row.items()}), out)
    result = RunResult(
        out,
        tmp_path / "r\x1b.json",
        EVIL.replace("\udcff", ""),
        1,
        1,
        0,
        0,
        1.0,
        {"b\x1b[1m": 1},
        failures=[("x\x1b", "[red]e\x1b")],
    )
    present_result(result, "human")
    printed = capsys.readouterr().out
    assert is_plain(printed)
    assert r"x\x1b: [red]e\x1b" in printed


def test_markdown_cells_are_plain() -> None:
    cell = escape(EVIL)
    assert is_plain(table(["name"], [[cell]]))
    assert cell.startswith("a\\\\x1b\\[2J b")
