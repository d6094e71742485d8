"""Metrics and plots of a predictions table: `cancernet evaluate`."""
