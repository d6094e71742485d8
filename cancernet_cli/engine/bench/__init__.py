"""Measure throughput: `cancernet bench`."""
