"""Registered export formats, one per module; the module has the format's name."""
