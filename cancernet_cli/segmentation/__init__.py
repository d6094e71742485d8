"""Pixels to mask: the segmenters, each in a file of its own that registers itself."""

from cancernet_cli.core.registry import import_all
from cancernet_cli.segmentation.base import SegmenterFactory, segmenters
from cancernet_cli.segmentation.combine import combine

import_all(__name__)

__all__ = ["SegmenterFactory", "combine", "segmenters"]
