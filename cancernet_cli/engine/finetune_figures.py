"""From out-of-fold logits to a decision and to the figures on a card."""

from __future__ import annotations

from typing import Any

import numpy as np

from cancernet_cli.core.cards import Decision
from cancernet_cli.engine.finetune_images import LabelledImages
from cancernet_cli.engine.rows import softmax
from cancernet_cli.metrics.calibration import choose_threshold, fit_temperature
from cancernet_cli.metrics.groups import grouped_metrics
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.training.logistic import Floats, Ints

OF_IMAGES = ("auroc", "auprc", "accuracy", "precision", "recall", "specificity", "f1", "log_loss", "brier", "ece")
KEPT = ("value", "count", "low", "high", "interval_units")


def decide(logits: Floats, labels: Ints, classes: tuple[str, ...]) -> Decision:
    """Temperature (Guo et al., arXiv:1706.04599) and, for two classes, the threshold of best balanced accuracy.

    Args:
        logits: `[N, K]`. labels: `[N]`; of two classes the second is the positive one.
    """
    temperature = fit_temperature(logits, labels)
    if len(classes) != 2:
        return Decision(temperature=temperature)
    threshold = choose_threshold(labels == 1, softmax(logits / temperature)[:, 1])
    return Decision(positive=classes[1], temperature=temperature, threshold=threshold)


def figures(logits: Floats, images: LabelledImages, decided_by: Floats | None = None) -> dict[str, Any]:
    """A card's figures, each fold's probabilities and decisions made with what the other folds say.

    Args:
        logits: `[N, K]` out-of-fold logits to judge.
        decided_by: `[N, K]` the logits that temperature and threshold are fitted on; default: the same.
    """
    basis = logits if decided_by is None else decided_by
    probs, predicted = np.zeros_like(logits), np.zeros(len(logits), dtype=np.int64)
    for fold in np.unique(images.folds):
        here = images.folds == fold
        decision = decide(basis[~here], images.labels[~here], images.classes)
        probs[here] = softmax(logits[here] / decision.temperature)
        two = len(images.classes) == 2
        predicted[here] = probs[here, 1] >= decision.threshold if two else probs[here].argmax(axis=1)
    names, at = np.unique(images.patients, return_inverse=True)
    scores = Scores.of(
        images.labels,
        probs,
        classes=images.classes,
        predicted=predicted,
        patients=at,
        patient_names=names.tolist(),
        magnifications=images.magnifications,
    )
    found = grouped_metrics(scores)
    by_patient = found["by_patient"]
    return {
        "images": {**_kept(found["images"], OF_IMAGES), "patients": len(names)},
        "patients": {
            **_kept(by_patient, ("auroc", "recognition_rate")),
            "count": by_patient["count"],
        },
        "by_magnification": {
            name: _kept(group, ("auroc", "accuracy")) for name, group in found["by_magnification"].items()
        },
        "confusion": {k: v for k, v in found["images"]["confusion"].items() if k in ("tn", "fp", "fn", "tp")},
    }


def _kept(found: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The figures that a card has room for, rounded to four digits; those without a value are left out."""
    known = {name: found[name] for name in names if found.get(name, {}).get("value") is not None}
    return {
        name: {k: round(v, 4) if isinstance(v, float) else v for k, v in figure.items() if k in KEPT and v is not None}
        for name, figure in known.items()
    }
