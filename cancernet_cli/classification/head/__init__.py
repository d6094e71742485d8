"""Classification heads, one per module; the module has the head's name."""
