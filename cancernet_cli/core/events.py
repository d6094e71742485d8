"""Events that an engine reports while it runs; `cli.progress` shows them, library callers may ignore them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Note:
    """A one-line remark for the user."""

    message: str


@dataclass(frozen=True)
class Warn:
    """A one-line warning."""

    message: str


@dataclass(frozen=True)
class StageStarted:
    """A stage begins; `total` counts `unit`, None if unknown."""

    stage: str
    total: int | None = None
    unit: str = "files"


@dataclass(frozen=True)
class StageAdvanced:
    """`done` more items of the stage are done; `figures`, such as the loss, are shown next to the progress bar."""

    stage: str
    done: int
    failed: int = 0
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StageGrew:
    """The stage has `more` items than known before; its `total` must be known."""

    stage: str
    more: int


@dataclass(frozen=True)
class StageFinished:
    """The stage has ended."""

    stage: str


Event = Note | Warn | StageStarted | StageAdvanced | StageGrew | StageFinished
Reporter = Callable[[Event], None]


def silent(event: Event) -> None:
    """A reporter that ignores all events."""
