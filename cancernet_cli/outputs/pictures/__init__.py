"""Overlays, masks and what is drawn on them."""
