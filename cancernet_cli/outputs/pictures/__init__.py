"""Overlays, masks and tile previews."""
