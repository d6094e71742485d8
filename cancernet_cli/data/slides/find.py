"""The slides that inputs name: folders in depth, files, patterns; each slide once, in path order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.paths import display_path
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.entries import TIFF_ENDINGS, absolute, entry_at, has_image_ending, has_slide_ending
from cancernet_cli.data.inputs import Input, parse_inputs
from cancernet_cli.data.manifest import Manifest
from cancernet_cli.data.patterns import matches
from cancernet_cli.data.slide_parts import is_part
from cancernet_cli.data.slides.kinds import kind_of
from cancernet_cli.data.walk import ExcludedFolders


def find_slides(
    inputs: Sequence[str],
    *,
    base: bytes,
    kind: Literal["auto", "slide", "image"] = "auto",
    exclude: Sequence[Path] = (),
    on_problem: Callable[[str], None] = lambda message: None,
) -> list[FoundFile]:
    """The slides under `inputs`, sorted by path.

    Args:
        base: paths in the table are relative to this folder.
        kind: `slide` takes images for slides too; `image` leaves nothing.
        exclude: folders that are not entered, such as the run's own.

    Raises:
        InputError: an input names nothing.
    """
    excluded = ExcludedFolders([Path(os.fsdecode(folder)) for folder in exclude])
    found: dict[bytes, FoundFile] = {}
    for one in parse_inputs(inputs):
        for location, is_named in _locations(one, excluded, on_problem):
            if location in found or kind == "image" or is_part(location):
                continue
            entry = entry_at(location)
            is_slide = kind == "slide" or kind_of(location) == "slide"
            # A file that is not there has no content to go by: what is named, and may be a slide, gets its row
            is_lost = is_named and entry.problem is not None and location.lower().endswith(TIFF_ENDINGS)
            if is_slide or is_lost:
                name = os.path.relpath(location, base)
                found[location] = FoundFile(
                    display_path(name), location, entry.size_bytes, entry.mtime_ns, problem=entry.problem
                )
    return sorted(found.values(), key=lambda file: file.path)


def _locations(
    one: Input, excluded: ExcludedFolders, on_problem: Callable[[str], None]
) -> Iterator[tuple[bytes, bool]]:
    """Absolute paths that may be slides', and whether somebody named each one."""
    if one.kind == "stdin":
        raise InputError("slides are not read from standard input", fix="name files, folders, patterns or a manifest")
    if one.kind == "file":
        yield one.location, True
    elif one.kind == "manifest":
        folder = os.path.dirname(one.location)
        for row in Manifest(Path(os.fsdecode(one.location)), ()):
            yield absolute(row.name, folder), True
    elif one.kind == "pattern":
        for location in matches(one.location, one.pattern, excluded, on_problem):
            if os.path.isdir(location):
                yield from ((path, False) for path in _below(location, excluded, on_problem))
            elif _may_be_slide(location):
                yield location, False
    else:
        yield from ((path, False) for path in _below(one.location, excluded, on_problem))


def _below(folder: bytes, excluded: ExcludedFolders, on_problem: Callable[[str], None]) -> Iterator[bytes]:
    """The files below a folder that may be slides; links to folders are not followed."""

    def report(error: OSError) -> None:
        on_problem(f"{display_path(os.fsencode(error.filename))} cannot be listed: {error.strerror}")

    for place, folders, names in os.walk(folder, onerror=report):
        folders[:] = sorted(name for name in folders if os.path.join(place, name) not in excluded)
        yield from (os.path.join(place, name) for name in sorted(names) if _may_be_slide(name))


def _may_be_slide(name: bytes) -> bool:
    return has_slide_ending(name) or has_image_ending(name)
