"""Pixels to logits: backbones and heads, each in a file of its own that registers itself."""

from cancernet_cli.classification.base import Backbone, Classifier, backbones, heads
from cancernet_cli.core.registry import import_all

import_all(__name__)

from cancernet_cli.classification.build import build_backbone, build_classifier, load_classifier  # noqa: E402

__all__ = ["Backbone", "Classifier", "backbones", "build_backbone", "build_classifier", "heads", "load_classifier"]
