"""Whole slides in a run: their tiles as they come, their rows and files."""
