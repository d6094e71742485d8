"""Classify files: `cancernet classify`."""
