"""What one batch brings a run forward by."""

from __future__ import annotations

from dataclasses import dataclass, field

from cancernet_cli.core.records import Failure
from cancernet_cli.outputs.tables.parts import Finished


@dataclass(frozen=True)
class Step:
    """Rows to be written, how many files are done with them, and which of those failed."""

    finished: Finished
    files: int
    failures: list[tuple[str, Failure]] = field(default_factory=list)
