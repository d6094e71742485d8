"""Registered segmenters, one per module; the module has the segmenter's name."""
