"""Markdown, CSV and TensorBoard reports."""
