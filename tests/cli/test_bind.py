"""Flags made from options, as a user reads them."""

from __future__ import annotations

from typer.testing import CliRunner

from cancernet_cli.cli.app import app


def test_brackets_in_a_help_text_are_not_taken_for_markup() -> None:
    text = CliRunner().invoke(app, ["finetune", "--help"], env={"COLUMNS": "160"}).output
    assert "[training], [weights] and [use]" in text
    assert 'pip install "cancernet[tensorboard]"' in text


def test_a_flag_that_is_on_by_default_can_be_turned_off() -> None:
    text = CliRunner().invoke(app, ["evaluate", "--help"], env={"COLUMNS": "160"}).output
    assert "--no-plots" in text
