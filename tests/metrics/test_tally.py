"""Counting batch by batch gives what the whole arrays give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cancernet_cli.metrics.classification import classification_metrics
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.metrics.tally import Tally

CLASSES = ("benign", "malignant")


def rows(n: int, *, seed: int = 0, patients: int = 7, spread: float = 1.5) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    p = (1 / (1 + np.exp(-rng.normal(2 * y - 1, spread)))).astype(np.float32)
    return {
        "labels": y,
        "predicted": p >= 0.5,
        "probs": np.column_stack([1 - p, p]),
        "patients": rng.integers(-1, patients, size=n),
        "magnifications": rng.choice([40.0, 100.0, np.nan], size=n),
    }


def fill(data: dict[str, Any], *, limit: int = 500_000, batch: int = 97) -> Scores:
    tally = Tally(CLASSES, limit=limit)
    for name in map(str, range(7)):
        tally.patient_index(name)
    for start in range(0, len(data["labels"]), batch):
        tally.add(**{name: column[start : start + batch] for name, column in data.items()})
        if limit < 1000:
            tally.scores()  # merges, so that rounding starts early
    return tally.scores()


def values(scores: Scores) -> dict[str, float]:
    found = classification_metrics(scores)
    return {name: f["value"] for name, f in found.items() if isinstance(f, dict) and "value" in f}


def direct(data: dict[str, Any]) -> Scores:
    return Scores.of(**data, classes=CLASSES)


def test_equals_the_raw_arrays() -> None:
    data = rows(3000)
    data["probs"] = data["probs"].round(2)  # so that many rows are alike
    tallied = fill(data)
    assert tallied.step == 0
    assert len(tallied.counts) < 3000 == tallied.n_images
    assert values(tallied) == pytest.approx(values(direct(data)), rel=1e-6)
    for magnification in (40, 100):
        one = tallied.where(tallied.magnifications == magnification)
        assert values(one) == pytest.approx(
            values(direct(data).where(data["magnifications"] == magnification)), rel=1e-6
        )
    assert tallied.counts[np.isnan(tallied.magnifications)].sum() == np.isnan(data["magnifications"]).sum()
    assert tallied.counts[tallied.patients == 3].sum() == (data["patients"] == 3).sum()


def test_the_order_of_batches_does_not_matter() -> None:
    data = rows(500)
    turned = {name: column[::-1] for name, column in data.items()}
    assert values(fill(data)) == pytest.approx(values(fill(turned, batch=500)), rel=1e-12)


@pytest.mark.parametrize("spread", [1.5, 12.0])  # calm, and so sure that nearly all lie near 0 and 1
def test_rounding_moves_no_figure_by_more_than_a_thousandth(spread: float) -> None:
    data = rows(20_000, spread=spread)
    rounded = fill(data, limit=500, batch=5000)
    assert rounded.step == 0.01
    data["patients"], data["magnifications"] = np.full(20_000, -1), np.full(20_000, np.nan)
    rounded, exact = fill(data, limit=5000, batch=7000), direct(data)
    assert rounded.step == 0.001
    assert len(rounded.counts) <= 5000
    assert rounded.n_images == 20_000
    assert values(rounded) == pytest.approx(values(exact), abs=1e-3)
    for name in ("accuracy", "precision", "recall", "f1", "specificity", "log_loss"):
        assert values(rounded)[name] == pytest.approx(values(exact)[name], rel=1e-6)


def test_patients_are_numbered_as_they_come() -> None:
    tally = Tally(CLASSES)
    assert [tally.patient_index(name) for name in ("b", "a", None, "b")] == [0, 1, -1, 0]
    assert tally.scores().patient_names == ("b", "a")
    assert tally.scores().n_images == 0


def test_slides_keep_their_numbers() -> None:
    tally = Tally(CLASSES)
    numbers = [tally.slide_index(name) for name in ("a", "b", None, "a")]
    assert numbers == [0, 1, -1, 0]
    tally.add([0] * 4, [0] * 4, np.full((4, 2), 0.5), [0] * 4, [40.0] * 4, numbers)
    found = tally.scores()
    assert dict(zip(found.slides.tolist(), found.counts.tolist(), strict=True)) == {0: 2, 1: 1, -1: 1}
