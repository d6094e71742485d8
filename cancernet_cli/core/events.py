"""What an engine tells while it works; `cli.progress` draws it, a library caller may ignore it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """Anything an engine reports."""


@dataclass(frozen=True)
class Note(Event):
    """A remark for the user, on one line."""

    message: str


@dataclass(frozen=True)
class Warn(Event):
    """Something the user should look at, on one line."""

    message: str


@dataclass(frozen=True)
class StageStarted(Event):
    """A stretch of work begins; `total` is in `unit`, or None when it is not known yet."""

    stage: str
    total: int | None = None
    unit: str = "files"


@dataclass(frozen=True)
class StageAdvanced(Event):
    """So many more (`done`, not the sum) of the stage are done; `figures` stand beside the bar, such as the loss."""

    stage: str
    done: int
    failed: int = 0
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StageGrew(Event):
    """So many more have come to light that belong to the stage; its `total` must be known."""

    stage: str
    more: int


@dataclass(frozen=True)
class StageFinished(Event):
    """The stage is over."""

    stage: str


Reporter = Callable[[Event], None]


def silent(event: Event) -> None:
    """A reporter that says nothing."""
