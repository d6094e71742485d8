"""Registered slide readers, one per module and library."""
