"""Progress in notebooks: on by default there, off elsewhere, and a given callback wins."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from cancernet_cli.cli.render import notebook
from cancernet_cli.core import events
from cancernet_cli.core.events import Reporter, silent


def work(times: int, report: Reporter = silent) -> int:
    report(events.StageStarted("work", times, "steps"))
    report(events.Note("halfway\x1b[2J"))
    for n in range(times):
        report(events.StageAdvanced("work", 1, failed=int(n == 0)))
    report(events.StageGrew("work", 1))
    report(events.StageFinished("work"))
    return times


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def test_a_script_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert notebook.with_progress(work)(2) == 2
    assert capsys.readouterr() == ("", "")


def test_a_notebook_shows_bars(kernel: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert notebook.with_progress(work)(2) == 2
    said = capsys.readouterr()
    assert "work" in said.err
    assert "2/3" in said.err
    assert "failed=1" in said.err
    assert "halfway\\x1b[2J" in said.out + said.err


def test_a_given_callback_is_used_instead(kernel: None, capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[Any] = []
    assert notebook.with_progress(work)(2, heard.append) == 2
    assert notebook.with_progress(work)(1, report=heard.append) == 1
    assert len(heard) == 11
    assert capsys.readouterr() == ("", "")


def test_bars_close_when_the_work_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with notebook.bars() as report:
            report(events.StageStarted("work", 3))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert capsys.readouterr().err.endswith("\n")  # what is printed next has a line to itself


def test_functions_without_progress_stay_themselves() -> None:
    assert notebook.with_progress(len) is len
