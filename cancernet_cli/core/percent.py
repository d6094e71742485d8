"""Percentages as people read them, the same in overlays and on the terminal."""

from __future__ import annotations


def show_percent(percent: float) -> str:
    """`97.3 %`; what is neither 0 nor 100 is never rounded to it but shown as `>99.9 %` or `<0.1 %`."""
    text = f"{percent:.1f}"
    if text == "100.0" and percent < 100:
        return ">99.9 %"
    if text == "0.0" and percent > 0:
        return "<0.1 %"
    return f"{text} %"
