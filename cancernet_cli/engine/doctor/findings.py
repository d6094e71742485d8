"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: What was looked at.
        state: `ok`; `note`: works, but slower or not everything; `problem`: something will fail.
        found: What was found.
        fix: What to do; empty if nothing.
    """

    name: str
    state: State
    found: str
    fix: str = ""
