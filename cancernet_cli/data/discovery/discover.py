"""Every file that the inputs name, one by one, with what is known about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Literal

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.paths import display_path
from cancernet_cli.core.records import FoundFile, Kind, Truth
from cancernet_cli.data.discovery.entries import (
    PHOTO_ENDINGS,
    TIFF_ENDINGS,
    Entry,
    absolute,
    entry_at,
    has_image_ending,
    has_slide_ending,
)
from cancernet_cli.data.discovery.inputs import Input, parse_inputs
from cancernet_cli.data.discovery.labels import LabelSource, filled, open_labels
from cancernet_cli.data.discovery.manifest import DEFAULT_RULE, LabelRule, Manifest
from cancernet_cli.data.discovery.name_list import read_names
from cancernet_cli.data.discovery.patterns import matches
from cancernet_cli.data.discovery.walk import ExcludedFolders, FolderWalk
from cancernet_cli.data.slide_parts import is_part

Wanted = Literal["auto", "slide", "image"]


def discover(
    inputs: Sequence[str | Input],
    *,
    base: Path,
    labels: str,
    classes: Sequence[str],
    rule: LabelRule = DEFAULT_RULE,
    exclude: Sequence[Path] = (),
    stdin: IO[bytes] | None = None,
    kind: Wanted = "image",
    on_problem: Callable[[str], None] = lambda message: None,
    on_unlisted: Callable[[], None] = lambda: None,
) -> Iterator[FoundFile]:
    """The files under the inputs; memory does not grow with their number.

    Manifests come first, then named files, standard input, patterns and folders; a file named twice comes twice, so the
    first is the one that knows most. Otherwise the order is the file system's.

    Args:
        base: as `resolve_base` gives it; paths are relative to it.
        labels: the option `--labels`. A manifest's own labels hold where it is `auto`.
        classes: the names that a label may have.
        rule: where lists hold the label.
        exclude: folders below the inputs that are not entered, such as the run's own outputs.
        stdin: where `-` reads from; default: standard input.
        kind: `auto` finds slides too and tells them by their content, `slide` takes every TIFF for one, `image` takes
            none. A slide of several files is one file.
        on_problem: told, in a line each, of folders that cannot be listed and label rows that match no file.
        on_unlisted: called for each folder that cannot be listed: what it holds is missing.

    Raises:
        InputError: an input or a label file is missing or wrong. At once for what can be seen at once, while iterating
            for a wrong row of a manifest or a pattern that nothing matches.
    """
    parsed = parse_inputs(inputs)
    source = open_labels(labels, base, classes, rule)
    manifests = [Manifest(Path(os.fsdecode(one.location)), classes, rule) for one in parsed if one.kind == "manifest"]
    entered = {os.path.realpath(one.location) for one in parsed if one.kind in ("folder", "pattern")}
    excluded = ExcludedFolders([folder for folder in exclude if os.path.realpath(os.fsencode(folder)) not in entered])

    def unlisted(message: str) -> None:
        on_problem(message)
        on_unlisted()

    found = _found(parsed, manifests, os.fsencode(base), labels, source, excluded, stdin, kind, on_problem, unlisted)
    return found if kind == "image" else _with_kinds(found, kind)


def _found(
    inputs: list[Input],
    manifests: list[Manifest],
    base: bytes,
    labels: str,
    source: LabelSource,
    excluded: ExcludedFolders,
    stdin: IO[bytes] | None,
    kind: Wanted,
    on_problem: Callable[[str], None],
    on_unlisted: Callable[[str], None],
) -> Iterator[FoundFile]:
    takes = has_image_ending if kind == "image" else _may_be_wanted

    def known(entry: Entry) -> FoundFile:
        return _file(entry, base, source.truth(entry.location))

    for manifest in manifests:
        yield from _listed(manifest, base, source, own_labels=labels == "auto" and manifest.has_labels)
    of_kind = {kind: [one for one in inputs if one.kind == kind] for kind in ("file", "stdin", "pattern", "folder")}
    for one in of_kind["file"]:
        yield known(entry_at(one.location))
    if of_kind["stdin"]:
        yield from map(known, _named(stdin or sys.stdin.buffer))
    walk = FolderWalk(excluded, on_unlisted, takes)
    for one in of_kind["pattern"]:
        yield from map(known, _matching(one, walk, takes, excluded, on_unlisted))
    for one in of_kind["folder"]:
        walk.add(one.location)
    yield from map(known, walk)
    source.report(on_problem)


def _may_be_wanted(name: bytes) -> bool:
    return has_image_ending(name) or has_slide_ending(name)


def _with_kinds(files: Iterator[FoundFile], wanted: Wanted) -> Iterator[FoundFile]:
    """The files but those that are only parts of a slide, each with its kind."""
    for file in files:
        if not is_part(file.location):
            yield replace(file, kind=_kind(file, wanted))


def _kind(file: FoundFile, wanted: Wanted) -> Kind:
    name = file.location.lower()
    if name.endswith(PHOTO_ENDINGS):
        return "image"
    if file.problem is not None or (wanted == "slide" and name.endswith(TIFF_ENDINGS)):
        return "slide" if has_slide_ending(name) or wanted == "slide" else "image"
    from cancernet_cli.data.slides.kinds import kind_of  # OpenSlide and tifffile, where something may be a slide

    return kind_of(file.location)


def _listed(manifest: Manifest, base: bytes, source: LabelSource, *, own_labels: bool) -> Iterator[FoundFile]:
    """A manifest's files; its facts come before those of other sources."""
    folder = os.path.dirname(absolute(os.fsencode(manifest.file)))
    for row in manifest:
        entry = entry_at(absolute(row.name, folder))
        other = source.truth(entry.location)
        truth = filled(row.truth, other)
        yield _file(entry, base, truth if own_labels else replace(truth, label=other.label))


def _named(stream: IO[bytes]) -> Iterator[Entry]:
    for name in read_names(stream):
        entry = entry_at(absolute(name))
        if entry.problem and name.endswith(b"\r"):  # a list written on Windows
            entry = entry_at(absolute(name.removesuffix(b"\r")))
        yield entry


def _matching(
    pattern: Input,
    walk: FolderWalk,
    takes: Callable[[bytes], bool],
    excluded: ExcludedFolders,
    on_problem: Callable[[str], None],
) -> Iterator[Entry]:
    """A pattern's images; folders that match are left to the walk."""
    nothing = True
    for location in matches(pattern.location, pattern.pattern, excluded, on_problem):
        if os.path.isdir(location):
            walk.add(location)
        elif takes(location):
            yield entry_at(location)
        else:
            continue
        nothing = False
    if nothing:
        raise InputError(
            f"no image and no folder matches {pattern.text!r}",
            fix="correct the pattern; files of other endings can be named one by one, or in a list",
        )


def _file(entry: Entry, base: bytes, truth: Truth) -> FoundFile:
    inside = os.path.join(base, b"")
    location = entry.location
    name = location[len(inside) :] if location.startswith(inside) else os.path.relpath(location, base)
    return FoundFile(display_path(name), location, entry.size_bytes, entry.mtime_ns, truth, entry.problem)
