"""Percentages that never claim certainty."""

from __future__ import annotations

import pytest

from cancernet_cli.core.figures import show_percent


@pytest.mark.parametrize(
    ("percent", "shown"),
    [(97.31, "97.3 %"), (99.97, ">99.9 %"), (100, "100.0 %"), (0.01, "<0.1 %"), (0, "0.0 %"), (99.94, "99.9 %")],
)
def test_show_percent(percent: float, shown: str) -> None:
    assert show_percent(percent) == shown
