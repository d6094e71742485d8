"""A comparison without a run behind it."""

from __future__ import annotations

from typing import Any

ROW: dict[str, Any] = {
    "network": "tf_efficientnet_lite0",
    "segmenter": "watershed",
    "classifier": "softmax",
    "is_baseline": False,
    "weights": "ImageNet",
    "random_weights": False,
    "images": 530,
    "patients": 20,
    "features": 15680,
    "precision": 0.561,
    "recall": 0.684,
    "f1": 0.617,
    "log_loss": 14.063,
    "accuracy": 0.596,
    "accuracy_low": 0.5,
    "accuracy_high": 0.73,
    "auroc": 0.668,
    "auroc_low": 0.545,
    "auroc_high": 0.846,
    "auroc_by_patient": 0.833,
    "tn": 145,
    "fp": 135,
    "fn": 79,
    "tp": 1171,
    "leaking_accuracy": 0.864,
    "leaking_auroc": 0.948,
    "seconds": 4512.3,
}
COMPARISON: dict[str, Any] = {
    "recipe": "paper",
    "seed": 0,
    "classes": ["benign", "malignant"],
    "images": 530,
    "patients": 20,
    "split": "5 folds by patient",
    "leaks": [],
    "leaking": True,
    "rows": [ROW],
}
