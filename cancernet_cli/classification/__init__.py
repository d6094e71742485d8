"""From pixels to logits: backbones, heads, and classifiers built from both."""

from cancernet_cli.classification.base import Backbone, Classifier, backbones, heads
from cancernet_cli.classification.build import build_backbone, build_classifier, load_classifier

__all__ = ["Backbone", "Classifier", "backbones", "build_backbone", "build_classifier", "heads", "load_classifier"]
