"""From pixels to a mask: segmenters, and how a mask dims the pixels outside it."""

from cancernet_cli.segmentation.base import LearnedSegmenter, SegmenterFactory, combine, segmenters

__all__ = ["LearnedSegmenter", "SegmenterFactory", "combine", "segmenters"]
