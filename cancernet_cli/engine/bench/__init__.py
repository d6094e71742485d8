"""Measure the throughput of `classify`: `cancernet bench`."""
