"""Reasons to doubt a trained model, as sentences for its card and for the last line of `cancernet finetune`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cancernet_cli.core.cards import Decision
from cancernet_cli.core.figures import FIGURES, Figure, title_of
from cancernet_cli.metrics.calibration import is_at_bound
from cancernet_cli.metrics.intervals import paired_bootstrap
from cancernet_cli.metrics.measure import measure
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores

# The first of these that has a value decides: every case should have the same weight.
RANKINGS = ("case_weighted_auroc", "auroc")
CHANCE = 0.5


def doubts(found: Mapping[str, Any], model: Scores, color: Scores, decision: Decision) -> tuple[str, ...]:
    """Why the model may be of no use, one sentence per reason.

    Args:
        found: figures of the held-out images, as the card holds them. model, color: their predictions by the model and
            by color alone, in the same order.
    """
    reasons = [_chance(found), _color(model, color), _temperature(decision)]
    return tuple(reason for reason in reasons if reason)


def _chance(found: Mapping[str, Any]) -> str:
    """An AUROC whose interval includes chance; of images and, where patients are known, of patients."""
    images, patients = found["images"], found.get("patients", {})
    name = next((name for name in RANKINGS if name in images), None)
    if name is None:
        return "no AUROC could be computed, so nothing shows that it is better than chance"
    known = [(title_of(name), Figure.from_json(images[name]))]
    if "auroc" in patients and name != RANKINGS[0]:
        known.append(("AUROC by patient", Figure.from_json(patients["auroc"])))
    for title, figure in known:
        if figure.value is not None and figure.value <= CHANCE:
            return f"no better than chance: {title} {figure.text(to=' to ')}"
        if figure.bounds and figure.bounds[0] <= CHANCE:
            return f"not clearly better than chance: {title} {figure.text(to=' to ')}"
    if not any(figure.bounds for _, figure in known):
        return f"chance cannot be ruled out: {known[0][0]} {known[0][1].text()} has no interval, with so few patients"
    return ""


def _color(model: Scores, color: Scores) -> str:
    """A model that does not rank better than color does."""
    by_name = {spec.name: spec for spec in FIGURES}
    for name in RANKINGS:
        spec = by_name[name]
        one, other = measure(spec, model), measure(spec, color)
        if one.value is None or other.value is None:
            continue
        both = f"{spec.title} {one.text()}, color alone {other.text()}"
        if one.value <= other.value:
            return f"no better than color alone: {both}"
        apart = paired_bootstrap([spec], model, color, Resampling())[name]
        if apart.low is not None and apart.high is not None and apart.low <= 0:
            return (
                f"not clearly better than color alone: {both}; 95 % interval of the difference {apart.low:+.2f} to "
                f"{apart.high:+.2f}"
            )
        return ""
    return ""


def _temperature(decision: Decision) -> str:
    if not is_at_bound(decision.temperature):
        return ""
    return (
        f"its probabilities are not calibrated: the temperature, {decision.temperature:.3g}, is at the end of its range"
    )
