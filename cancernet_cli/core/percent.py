"""Format percentages, in overlays as on the terminal."""

from __future__ import annotations


def show_percent(percent: float) -> str:
    """`97.3 %`; a value that would round to 0 or 100 but is neither is shown as `<0.1 %` or `>99.9 %`."""
    text = f"{percent:.1f}"
    if text == "100.0" and percent < 100:
        return ">99.9 %"
    if text == "0.0" and percent > 0:
        return "<0.1 %"
    return f"{text} %"
