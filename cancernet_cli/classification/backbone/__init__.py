"""Registered backbones, one per module; the module has the backbone's name."""
