"""Learning rates and thawing by hand."""

from __future__ import annotations

import itertools

import pytest

from cancernet_cli.training.schedules import rate_at, thaw_epochs


def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine() -> None:
    rates = [rate_at(step, 100, 0.1) for step in range(101)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_a_part_that_thaws_later_warms_up_then_and_ends_with_the_others() -> None:
    assert [rate_at(step, 100, 0.1, start=50) for step in (0, 49)] == [0, 0]
    assert [rate_at(step, 100, 0.1, start=50) for step in (50, 54, 55)] == pytest.approx([0.2, 1, 1])
    assert rate_at(100, 100, 0.1, start=50) == pytest.approx(0)


def test_stages_thaw_one_after_the_other_and_before_the_end() -> None:
    assert thaw_epochs(3, 30, 0.1) == [3, 6, 9]
    assert thaw_epochs(3, 30, 0.0) == [0, 0, 0]
    assert thaw_epochs(4, 2, 0.5) == [1, 1, 1, 1]
    assert thaw_epochs(2, 1, 0.3) == [0, 0]
