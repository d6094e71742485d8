"""Registered image readers, one per module and file format."""
