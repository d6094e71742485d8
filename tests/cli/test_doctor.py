"""`cancernet doctor` on the command line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from cancernet_cli.cli.app import app


def test_problems_are_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANCERNET_CACHE", "/proc/none")
    result = CliRunner().invoke(app, ["doctor", "--no-self-test"])
    assert result.exit_code == 1
    assert "PROBLEM" in result.stdout
    assert "-> make /proc/none yours and writable" in result.stdout
    assert result.stdout.rstrip().endswith("1 problem found.")


def test_json() -> None:
    result = CliRunner().invoke(app, ["doctor", "--no-self-test", "--format", "json"])
    found = json.loads(result.stdout)
    assert found["ok"] is (result.exit_code == 0)
    assert {"name", "state", "found", "fix"} == set(found["findings"][0])
