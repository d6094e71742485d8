"""Figures over divisions into folds: on a terminal of any width, and as Markdown."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from rich.console import Group

from cancernet_cli.cli.render.divisions import divisions_parts
from cancernet_cli.core.figures import division_rows, plain
from cancernet_cli.metrics.groups import repeated_metrics
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.outputs.reports.divisions import divisions_section
from tests.cli.render.test_metrics import text_of


def divisions(*, known: bool = True) -> dict[str, Any]:
    """Three divisions, as a metrics file gives them back; 400X images rank perfectly in all of them."""
    rng = np.random.default_rng(0)
    who, at = np.arange(120) % 12, np.array([40.0, 400.0])[np.arange(120) // 60]
    y = who % 2
    probs = [np.where(at == 400, y * 0.8 + 0.1, rng.normal(0.4 + 0.2 * y, 0.2).clip(0, 1)) for _ in range(3)]
    scores = [Scores.of(y, p, patients=who if known else None, magnifications=at) for p in probs]
    return json.loads(json.dumps(plain(repeated_metrics(scores, Resampling(50))), allow_nan=False))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_mean_spread_and_exact_bounds_on_any_terminal(width: int) -> None:
    found = divisions()
    shown = text_of(Group(*divisions_parts(found)), width=width)
    assert max(map(len, shown.splitlines())) <= width
    words = " ".join(shown.split())
    assert "Held-out patients, mean of 3 divisions into folds" in words
    assert "at least, at most: exact one-sided 95 % bound" in words
    for _, _, figure in division_rows(found):
        assert figure.text() in words
    assert "1.00 (at least 0.61)" in words  # six patients of each class
    if width >= 80:
        assert "case-weighted AUROC (40x, 12 patients)" in words


def test_every_figure_is_listed_once_with_magnifications_last() -> None:
    titles = [title for title, _, _ in division_rows(divisions())]
    assert len(set(titles)) == len(titles)
    assert titles[:2] == ["AUROC", "case-weighted AUROC"]
    assert titles[-1] == "case-weighted AUROC (400x, 12 patients)"
    assert "recognition rate by patient" in titles


def test_without_patients_nothing_speaks_of_them() -> None:
    found = divisions(known=False)
    shown = text_of(Group(*divisions_parts(found)))
    report = "\n".join(divisions_section(found))
    assert "Held-out images, mean of 3 divisions into folds" in shown
    assert "that was not trained on it." in report
    for text in (shown, report):
        assert "patient" not in text
