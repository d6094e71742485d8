"""Models that beat neither chance nor color are called so, and sound ones are not."""

from __future__ import annotations

from typing import Any

import numpy as np

from cancernet_cli.core.cards import Decision
from cancernet_cli.engine.finetune.checks.doubts import doubts
from cancernet_cli.engine.finetune.figures import rankings
from cancernet_cli.metrics.scores import Scores

SOUND = Decision(positive="malignant", temperature=1.2)
WHO = np.arange(400) % 40
LABELS = WHO % 2


def scores(gain: float, seed: int, patients: Any = WHO) -> Scores:
    """Predictions of 40 patients; `gain` is how far the classes are apart. A benign and a malignant one share noise."""
    random = np.random.default_rng(seed)
    noise = random.normal(0, 0.25, 20)[WHO // 2] + random.normal(0, 0.1, 400)
    probs = np.clip(0.5 + gain * (LABELS - 0.5) + noise, 0, 1)
    return Scores.of(LABELS, probs, patients=patients, patient_names=[f"p{i}" for i in range(40)])


def reasons(model: Scores, color: Scores, decision: Decision = SOUND) -> tuple[str, ...]:
    return doubts({"images": rankings(model)}, model, color, decision)


def test_a_good_model_raises_no_doubt() -> None:
    assert reasons(scores(0.9, 0), scores(0.1, 1)) == ()


def test_a_model_at_chance_is_no_better_than_chance() -> None:
    found = reasons(scores(0.0, 0), scores(-0.9, 1))
    assert len(found) == 1
    assert found[0].startswith("not clearly better than chance: ")
    assert "AUROC" in found[0]


def test_color_that_ranks_as_well_is_named() -> None:
    found = reasons(scores(0.5, 0), scores(0.9, 1))
    assert [words.split(":")[0] for words in found] == ["no better than color alone"]


def test_a_gain_over_color_that_may_be_chance_is_not_clear() -> None:
    found = reasons(scores(0.55, 0), scores(0.5, 5))
    assert [words.split(":")[0] for words in found] == ["not clearly better than color alone"]
    assert "95 % interval of the difference" in found[0]


def test_a_temperature_at_its_bound_is_said() -> None:
    for temperature in (0.05, 20.0):
        found = reasons(scores(0.9, 0), scores(0.1, 1), Decision(positive="malignant", temperature=temperature))
        assert len(found) == 1
        assert "temperature" in found[0]


def test_with_few_patients_chance_cannot_be_ruled_out() -> None:
    model = Scores.of([0, 1], [0.1, 0.9], patients=[0, 1], patient_names=["a", "b"])
    found = doubts({"images": rankings(model)}, model, model, SOUND)
    assert found[0].startswith("chance cannot be ruled out") or found[0].startswith("not clearly better than chance")


def test_the_figure_of_patients_counts_too() -> None:
    model = scores(0.9, 0)
    found = {
        "images": {"auroc": rankings(model)["auroc"]},
        "patients": {"auroc": {"value": 0.6, "low": 0.4, "high": 0.8}},
    }
    assert (
        doubts(found, model, scores(0.1, 1), SOUND)[0]
        == "not clearly better than chance: AUROC by patient 0.60 (0.40 to 0.80)"
    )
