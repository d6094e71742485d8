"""From pixels to a mask: segmenters, and how a mask dims the pixels outside it."""

from cancernet_cli.segmentation.base import LearnedSegmenter, SegmenterFactory, segmenters
from cancernet_cli.segmentation.combine import combine

__all__ = ["LearnedSegmenter", "SegmenterFactory", "combine", "segmenters"]
