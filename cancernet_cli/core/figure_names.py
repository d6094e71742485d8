"""What figures are called."""

from __future__ import annotations

NAMES = {"auroc": "AUROC", "accuracy": "accuracy", "recognition_rate": "recognition rate by patient"}
