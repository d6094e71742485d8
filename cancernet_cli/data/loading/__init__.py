"""Decode images and tiles in worker processes."""
