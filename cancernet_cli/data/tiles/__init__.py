"""Tissue and tile grids of slides."""
