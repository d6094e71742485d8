"""Classify the pending files of a run into parts, and reuse the parts of an earlier one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.core import interruption
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted
from cancernet_cli.core.files import atomic_write
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.engine.classify.batches import ImageSource, outcomes
from cancernet_cli.engine.classify.finish import tiles_file
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.worklist import Worklist
from cancernet_cli.inference.malloc import give_memory_back
from cancernet_cli.inference.open import open_runner
from cancernet_cli.inference.runner import Runner
from cancernet_cli.outputs.tables.classified_tiles import (
    classified_tile_schema,
    numbered_tiles,
    slides_in,
    tile_part_schema,
)
from cancernet_cli.outputs.tables.contents import ContentHashes, content_hash, contents_of
from cancernet_cli.outputs.tables.parts import BatchOutcome, PartWriter
from cancernet_cli.outputs.tables.predictions import part_origins, part_schema, table_schema
from cancernet_cli.outputs.tables.workspace import Workspace

STAGE = "classify"


@dataclass(frozen=True)
class Hooks:
    """Replaceable steps of a run, for measurements and tests.

    load_batches: as `data.loading.load.load_batches`. open_runner: as `inference.open.open_runner`. committed: called
    with each outcome before it is written.
    """

    load_batches: Callable[..., Iterator[Any]] = load_batches
    open_runner: Callable[..., Runner] = open_runner
    committed: Callable[[BatchOutcome], None] = lambda outcome: None


DEFAULT_HOOKS = Hooks()


def classify_pending(
    job: Job, worklist: Worklist, workspace: Workspace, contents: ContentHashes, report: Reporter, hooks: Hooks
) -> None:
    """Decode and classify pending files, writing parts."""
    runtime = job.runtime
    pending, slides_pending = worklist.count_pending(), worklist.count_pending("slide")
    if not pending:
        return
    schema = part_schema(table_schema(job.card.architecture.classes, job.state))
    source = _source(job, worklist, workspace, schema, report)
    # With a single batch of images there is nothing to work ahead on.
    workers = runtime.workers if slides_pending or pending > runtime.batch_size else 0
    # The workers start decoding while the networks are loaded.
    loaded = hooks.load_batches(source, source.decoder, workers=workers, pin_memory=runtime.device.type == "cuda")
    runner = hooks.open_runner(
        job.folder,
        job.card,
        runtime,
        int8=job.int8,
        want_mask=job.needs("mask"),
        files=None if slides_pending else len(worklist),  # a slide is as much work as thousands of images
        report=report,
    )
    tiles = (workspace.tile_part, source.tile_schema) if source.tile_schema is not None else None

    def ready(outcome: BatchOutcome) -> BatchOutcome:
        hooks.committed(outcome)
        return outcome if outcome.rows is None else _with_contents(outcome, outcome.rows, contents)

    with PartWriter(workspace.part, schema, workspace.next_number(), tiles=tiles) as writer:
        found = map(ready, outcomes(source.batches(loaded), runner))
        done = write_outcomes(found, writer, STAGE, pending, report, strict=job.options.strict)
    give_memory_back()
    source.finish()
    report(StageFinished(STAGE))
    interruption.check(f"{done:,} of {pending:,} files are done and kept")


def write_outcomes(
    found: Iterator[BatchOutcome], writer: PartWriter, stage: str, pending: int, report: Reporter, *, strict: bool
) -> int:
    """Write outcomes until there are no more, or a signal asks to stop; the number of files done.

    Raises:
        InputError: a file failed, and `strict` is set.
    """
    report(StageStarted(stage, pending))
    done = 0
    for outcome in found:
        if outcome.failures and strict:
            path, reason = outcome.failures[0]
            raise InputError(f"{path} failed: {reason}", fix="fix or remove the file, or run without --strict")
        writer.put(outcome)
        done += outcome.files
        report(StageAdvanced(stage, outcome.files, len(outcome.failures)))
        if interruption.requested():
            break
    return done


def _source(job: Job, worklist: Worklist, workspace: Workspace, schema: pa.Schema, report: Reporter) -> ImageSource:
    """The pending images, with the pending slides if there are any."""
    if not worklist.count_pending("slide"):
        return ImageSource(job, worklist.pending("image"), schema)
    from cancernet_cli.engine.classify.slides.stream import SlideStream  # scikit-image and OpenSlide

    return SlideStream(job, worklist, workspace, schema, report)


def use_parts(worklist: Worklist, workspace: Workspace, known: Set[Path] = frozenset(), *, retry: bool) -> set[Path]:
    """Mark the unchanged files in finished parts as done; delete parts that cannot be read.

    Args:
        known: parts of either table that are marked already.
        retry: leave files that could not be read pending.

    Returns:
        The parts that were marked.
    """

    def mark_rows(number: int, path: Path) -> None:
        rows = list(part_origins(path, retry=retry))
        worklist.mark_done((number, *row) for row in rows)

    def mark_tiles(number: int, path: Path) -> None:
        worklist.mark_tiles(number, slides_in(path))

    marked = set()
    for parts, mark in ((workspace.parts(), mark_rows), (workspace.tile_parts(), mark_tiles)):
        for number, path in parts.items():
            if path in known:
                continue
            try:
                mark(number, path)
            except (OSError, pa.ArrowException):
                path.unlink()
                continue
            marked.add(path)
    return marked


def _with_contents(outcome: BatchOutcome, rows: pa.RecordBatch, contents: ContentHashes) -> BatchOutcome:
    return replace(outcome, writes=[*outcome.writes, partial(contents.add, rows)])


def reuse_finished(job: Job, worklist: Worklist, workspace: Workspace, contents: ContentHashes) -> None:
    """Add the rows of the finished table whose files have the same content as parts, with what is known of them now.

    A file has the same content if its size and time are the same, or else its hash.

    Raises:
        OSError, ArrowException, ValueError: the table or its contents cannot be read.
    """
    schema = part_schema(table_schema(job.card.architecture.classes, job.state))
    for rows, origins in contents_of(job.options.out):
        interruption.check()
        kept: list[tuple[int, FoundFile]] = []
        known: list[tuple[str, int, int, bytes | None]] = []
        for i, (path, (size, mtime, digest)) in enumerate(zip(rows["path"].to_pylist(), origins, strict=True)):
            file = worklist.known(path)
            if file is None or file.problem is not None or file.size_bytes != size:
                continue
            if file.mtime_ns == mtime or (digest is not None and content_hash(file.location, size) == digest):
                kept.append((i, file))
                known.append((path, size, file.mtime_ns, digest))
        contents.keep(known)
        _reuse_tiles([file for _, file in kept if file.kind == "slide"], job, workspace)
        part = rows.take(pa.array([i for i, _ in kept], pa.int64()))
        current = {
            "true_label": [file.truth.label for _, file in kept],
            "patient": [file.truth.patient for _, file in kept],
            "slide": [file.truth.slide for _, file in kept],
            **_origin_columns([file for _, file in kept]),
        }
        columns = [
            pa.chunked_array([pa.array(current[field.name], field.type)])
            if field.name in current
            else part[field.name].cast(field.type)
            for field in schema
        ]
        with atomic_write(workspace.part(workspace.next_number()), durable=False) as temporary:
            pq.write_table(pa.table(columns, schema=schema), temporary)


def _reuse_tiles(slides: list[FoundFile], job: Job, workspace: Workspace) -> None:
    """Add the tiles of unchanged slides, one part per slide."""
    if not slides:
        return
    schema = tile_part_schema(classified_tile_schema(job.card.architecture.classes, job.state))
    for file in slides:
        tiles = numbered_tiles(tiles_file(job.options.out), file.path)
        for name, values in _origin_columns([file] * len(tiles)).items():
            tiles = tiles.append_column(name, pa.array(values, pa.int64()))
        if len(tiles):
            with atomic_write(workspace.tile_part(workspace.next_number()), durable=False) as temporary:
                pq.write_table(tiles.select(schema.names).cast(schema), temporary)


def _origin_columns(files: list[FoundFile]) -> dict[str, list[int]]:
    return {"_size_bytes": [file.size_bytes for file in files], "_mtime_ns": [file.mtime_ns for file in files]}
