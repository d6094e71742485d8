"""Find the files that the inputs refer to, with labels and metadata, as a stream."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import display_path, is_output
from cancernet_cli.core.records import FoundFile, Truth
from cancernet_cli.data.discovery.endings import registered_endings
from cancernet_cli.data.discovery.entries import Entry, absolute, entry_at
from cancernet_cli.data.discovery.inputs import Input, parse_inputs, read_names
from cancernet_cli.data.discovery.kinds import Wanted, with_kinds
from cancernet_cli.data.discovery.label_file import LabelSource
from cancernet_cli.data.discovery.labels import NameLabels, filled, open_labels
from cancernet_cli.data.discovery.layout import Layout, survey
from cancernet_cli.data.discovery.manifest import DEFAULT_RULE, LabelRule, Manifest
from cancernet_cli.data.discovery.names.breakhis import parse_breakhis
from cancernet_cli.data.discovery.patterns import matches
from cancernet_cli.data.discovery.walk import ExcludedFolders, FolderWalk
from cancernet_cli.data.loading.limits import FileLimits


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
    on_layout: Callable[[Layout], None] | None = None,
    on_passed_over: Callable[[str], None] = lambda message: None,
    timeout_s: float = FileLimits.timeout_s,
) -> Iterator[FoundFile]:
    """The files that the inputs refer to; memory use does not depend on their number.

    In this order: manifests, single files, standard input, patterns, folders; a file that is given twice is yielded
    twice, first with the most metadata. Within these, the order is the file system's.

    Args:
        base: from `resolve_base`; paths are relative to it.
        labels: the option `--labels`. With `auto`, a manifest's own labels are used.
        classes: the allowed labels.
        rule: the label column of manifests.
        exclude: folders below the inputs to skip, such as the run's own outputs.
        stdin: the stream that `-` refers to; default: standard input.
        kind: `auto` finds both, by content; `slide` treats every TIFF as a slide; `image` finds no slides. A multi-file
            slide is one file.
        on_problem: called with a message for each folder that cannot be listed, and for label rows that match no file.
        on_unlisted: called for each folder that cannot be listed, whose files are missing.
        on_layout: called with the layout of folders that are labels; by default, doubts about it go to `on_problem`.
        on_passed_over: called after the last file with what the search of folders passed over, if anything.
        timeout_s: longest time to look into a file whose name does not tell its kind.

    Raises:
        InputError: an input or label file is missing or invalid; while iterating, for an invalid row of a manifest or a
            pattern without matches.
    """
    parsed = parse_inputs(inputs)
    source = open_labels(labels, base, classes, rule)
    manifests = [Manifest(Path(os.fsdecode(one.location)), classes, rule) for one in parsed if one.kind == "manifest"]
    entered = {os.path.realpath(one.location) for one in parsed if one.kind in ("folder", "pattern")}
    excluded = ExcludedFolders([folder for folder in exclude if os.path.realpath(os.fsencode(folder)) not in entered])

    def report_unlisted(message: str) -> None:
        on_problem(message)
        on_unlisted()

    endings = registered_endings()
    takes = endings.matcher(slides=kind != "image")
    walk = FolderWalk(excluded, report_unlisted, takes)
    if isinstance(source, NameLabels) and source.use_folder:
        again = FolderWalk(excluded, lambda message: None, takes)
        source.layout = survey(_labelled_by_folder(parsed, again), base, classes)
        (on_layout or (lambda layout: _doubts(layout, on_problem)))(source.layout)
    found = _found(parsed, manifests, os.fsencode(base), labels, source, walk, stdin, on_problem, on_passed_over)
    return found if kind == "image" else with_kinds(found, kind, endings, timeout_s)


def find_slides(
    inputs: Sequence[str],
    *,
    base: Path,
    kind: Wanted = "auto",
    exclude: Sequence[Path] = (),
    on_problem: Callable[[str], None] = lambda message: None,
    timeout_s: float = FileLimits.timeout_s,
) -> list[FoundFile]:
    """The slides that `discover` finds, without duplicates, sorted by path.

    A missing TIFF, whose content is unknown, counts as a slide. Raises as `discover`.
    """
    found: dict[bytes, FoundFile] = {}
    either = registered_endings().either
    files = discover(
        inputs,
        base=base,
        labels="none",
        classes=(),
        exclude=exclude,
        kind=kind,
        on_problem=on_problem,
        timeout_s=timeout_s,
    )
    for file in files:
        is_missing = file.problem is not None and file.location.lower().endswith(either)
        if file.kind == "slide" or (is_missing and kind != "image"):
            found.setdefault(file.location, file)
    return sorted(found.values(), key=lambda file: os.fsencode(file.path))


def _found(
    inputs: list[Input],
    manifests: list[Manifest],
    base: bytes,
    labels: str,
    source: LabelSource,
    walk: FolderWalk,
    stdin: IO[bytes] | None,
    on_problem: Callable[[str], None],
    on_passed_over: Callable[[str], None],
) -> Iterator[FoundFile]:
    def known(entry: Entry) -> FoundFile:
        return _file(entry, base, source.truth(entry.location))

    for manifest in manifests:
        yield from _listed(manifest, base, source, own_labels=labels == "auto" and manifest.has_labels)
    of_kind = {kind: [one for one in inputs if one.kind == kind] for kind in ("file", "stdin", "pattern", "folder")}
    for one in of_kind["file"]:
        yield known(entry_at(one.location))
    if of_kind["stdin"]:
        yield from map(known, _named(stdin or sys.stdin.buffer))
    for one in of_kind["pattern"]:
        yield from map(known, _matching(one, walk))
    for one in of_kind["folder"]:
        if is_output(one.location):
            on_problem(
                f"{display_path(one.location)} is a folder that CancerNet wrote; it is searched because it is named"
            )
        walk.add(one.location)
    yield from map(known, walk)
    source.report(on_problem)
    if words := walk.passed_over.words:
        on_passed_over(words)


def _labelled_by_folder(inputs: list[Input], walk: FolderWalk) -> Iterator[bytes]:
    """The paths of the inputs whose folders may be classes; lists bring their own labels."""
    for one in inputs:
        if one.kind == "file":
            yield one.location
        elif one.kind == "pattern":
            yield from (entry.location for entry in _matching(one, walk))
        elif one.kind == "folder":
            walk.add(one.location)
    yield from walk.locations()


def _doubts(layout: Layout, on_problem: Callable[[str], None]) -> None:
    if layout.numbered:
        on_problem(f"{layout.numbers_read}; --labels none ignores them")
    if layout.ambiguity:
        on_problem(f"patients are unknown: {layout.ambiguity}")


def _listed(manifest: Manifest, base: bytes, source: LabelSource, *, own_labels: bool) -> Iterator[FoundFile]:
    """A manifest's files; its metadata takes precedence over other sources."""
    folder = os.path.dirname(absolute(os.fsencode(manifest.file)))
    for row in manifest:
        entry = entry_at(absolute(row.name, folder))
        other = source.truth(entry.location)
        truth = filled(row.truth, other)
        yield _file(entry, base, truth if own_labels else replace(truth, label=other.label))


def _named(stream: IO[bytes]) -> Iterator[Entry]:
    for name in read_names(stream):
        entry = entry_at(absolute(name))
        if entry.problem and name.endswith(b"\r"):  # from a list written on Windows
            entry = entry_at(absolute(name.removesuffix(b"\r")))
        yield entry


def _matching(pattern: Input, walk: FolderWalk) -> Iterator[Entry]:
    """Files that match a pattern; folders that match are added to the walk."""
    nothing = True
    for location in matches(pattern.location, pattern.pattern, walk):
        if os.path.isdir(location):
            walk.add(location)
        elif walk.takes(location):
            yield entry_at(location)
        else:
            continue
        nothing = False
    if nothing:
        raise InputError(
            f"no image or folder matches {pattern.text!r}",
            fix="correct the pattern, or pass files with other extensions one by one or in a list",
        )


def _file(entry: Entry, base: bytes, truth: Truth) -> FoundFile:
    inside = os.path.join(base, b"")
    location = entry.location
    if truth.magnification is None:  # a model may need it, wherever labels come from
        known = parse_breakhis(os.fsdecode(os.path.basename(location)))
        truth = replace(truth, magnification=known.magnification) if known else truth
    name = location[len(inside) :] if location.startswith(inside) else os.path.relpath(location, base)
    return FoundFile(display_path(name), location, entry.size_bytes, entry.mtime_ns, truth, entry.problem)
