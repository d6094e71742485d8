"""Find slides among the inputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.discovery.discover import Wanted, discover
from cancernet_cli.data.discovery.endings import registered_endings


def find_slides(
    inputs: Sequence[str],
    *,
    base: Path,
    kind: Wanted = "auto",
    exclude: Sequence[Path] = (),
    on_problem: Callable[[str], None] = lambda message: None,
) -> list[FoundFile]:
    """The slides that `discover` finds, without duplicates, sorted by path.

    A missing TIFF, whose content is unknown, counts as a slide.

    Raises:
        InputError: as `discover`.
    """
    found: dict[bytes, FoundFile] = {}
    either = registered_endings().either
    for file in discover(
        inputs, base=base, labels="none", classes=(), exclude=exclude, kind=kind, on_problem=on_problem
    ):
        is_missing = file.problem is not None and file.location.lower().endswith(either)
        if file.kind == "slide" or (is_missing and kind != "image"):
            found.setdefault(file.location, file)
    return sorted(found.values(), key=lambda file: os.fsencode(file.path))
