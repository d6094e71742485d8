"""Markdown that shows what it was given."""

from __future__ import annotations

from cancernet_cli.outputs.reports.markdown import escape, picture, table


def test_nothing_in_a_name_is_markup() -> None:
    assert escape("a_b|c\n*d* <e>") == r"a\_b\|c \*d\* \<e\>"
    assert picture("a_b", "plots/a.png") == r"![a\_b](plots/a.png)"


def test_a_table() -> None:
    assert table(["name", ">n"], [("a", "1"), ("b", "2")]) == "| name | n |\n| --- | ---: |\n| a | 1 |\n| b | 2 |"
