"""Segment files: find the nuclei of images and slides, measure them, write; resumable, one row per file."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from cancernet_cli.core import interruption
from cancernet_cli.core.events import Note, Reporter, StageFinished, Warn, silent
from cancernet_cli.core.files import mark_output, output_error
from cancernet_cli.core.options import SegmentOptions
from cancernet_cli.core.records import FoundFile, SegmentResult
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.engine.classify.batches import outcomes
from cancernet_cli.engine.classify.find_files import list_files
from cancernet_cli.engine.classify.pending import use_parts, write_outcomes
from cancernet_cli.engine.classify.worklist import Worklist
from cancernet_cli.engine.segment.finish import finish, is_finished, reuse_finished
from cancernet_cli.engine.segment.images import SUFFIXES, ImageStream
from cancernet_cli.engine.segment.job import SegmentJob, prepare, with_resolution
from cancernet_cli.engine.segment.true_masks import find_true_masks
from cancernet_cli.inference.malloc import give_memory_back
from cancernet_cli.inference.open import open_mask_runner
from cancernet_cli.outputs.tables.nuclei import PART_SCHEMA, images_schema
from cancernet_cli.outputs.tables.parts import PartWriter
from cancernet_cli.outputs.tables.predictions import part_schema
from cancernet_cli.outputs.tables.workspace import Workspace

STAGE = "segment"


def segment(
    inputs: str | Path | Sequence[str | Path],
    options: SegmentOptions | None = None,
    report: Reporter = silent,
    **changes: Any,
) -> SegmentResult:
    """Find the nuclei of every image and slide in `inputs`, and write tables and files to the folder `options.out`.

    Args:
        inputs: Folders, files, glob patterns, manifests, or "-" for paths on standard input.
        options: Defaults to the bundled U-Net on the best device, writing to `nuclei`.
        report: Called with progress, notes and warnings (`core.events`).
        changes: Options by name that override `options`, as in `segment("slides", out="nuclei")`.

    Returns:
        Counts, failures and, with true masks, the overlap with them. Files that fail do not raise; `failed` counts
        them.

    Raises:
        CancernetError: The run cannot start or continue. The subclass states the kind of problem, `fix` the remedy.
    """
    options = replace(options or SegmentOptions(), **changes)
    started = time.monotonic()
    job = prepare(inputs, options, report)
    is_done = not options.overwrite and is_finished(job)
    workspace = Workspace(options.out)
    try:
        with closing(_find(job, workspace.folder, report)) as worklist:
            masks = find_true_masks(job, worklist, report)
            state = _masks_state(masks)
            if is_done:
                result = reuse_finished(job, worklist, state, started)
                report(Note(f"{options.out} is already complete (use --overwrite to start from scratch)"))
            else:
                result = _resume(job, worklist, workspace, masks, state, report, started)
            result = replace(result, unlisted_folders=worklist.unlisted_folders)
    except (OSError, sqlite3.OperationalError) as error:
        workspace.close()
        raise output_error(options.out, error if isinstance(error, OSError) else OSError(str(error))) from error
    except BaseException:
        workspace.close()
        raise
    workspace.remove()
    return result


def _find(job: SegmentJob, folder: Path, report: Reporter) -> Worklist:
    def placed(file: FoundFile) -> FoundFile:
        return file if file.kind == "slide" else with_resolution(file, job.options.mpp)

    exclude = [folder, job.options.out]
    worklist = list_files(
        job.inputs, job.base, job.options, folder, report, (), exclude, each=placed, on_layout=lambda layout: None
    )
    unknown = sum(file.truth.mpp is None for file in worklist.sample(1000, "image"))
    if unknown:
        report(
            Warn(
                f"the resolution of images is unknown, and taken to be {job.policy.mpp:g} µm/px, the model's; there "
                "will be no areas in µm² (set it with --mpp, or in a manifest's column mpp or magnification)"
            )
        )
    return worklist


def _resume(
    job: SegmentJob,
    worklist: Worklist,
    workspace: Workspace,
    masks: Mapping[str, bytes],
    masks_state: str,
    report: Reporter,
    started: float,
) -> SegmentResult:
    """Segment what the parts of an earlier, unfinished run do not contain, and finish the run."""
    folder = os.fsencode(job.base).decode("utf-8", "backslashreplace")
    outputs = {name: str(is_wanted) for name, is_wanted in job.writes.items()}
    state = {**job.state, **outputs, "folder": folder, "true_masks": masks_state}
    workspace.adopt(state, overwrite=job.options.overwrite)
    known = use_parts(worklist, workspace, retry=True)
    reused = len(worklist) - worklist.count_pending()
    if mark_output(job.options.out) and job.options.overwrite and not reused:
        for name, _ in SUFFIXES.values():  # of files that are no longer among the inputs
            shutil.rmtree(job.options.out / name, ignore_errors=True)
    _segment_pending(job, worklist, workspace, masks, report)
    use_parts(worklist, workspace, known, retry=False)
    return finish(job, worklist, workspace, masks_state, reused=reused, started=started)


def _segment_pending(
    job: SegmentJob, worklist: Worklist, workspace: Workspace, masks: Mapping[str, bytes], report: Reporter
) -> None:
    """Decode and segment pending files, writing parts."""
    pending, slides_pending = worklist.count_pending(), worklist.count_pending("slide")
    if not pending:
        return
    schema = part_schema(images_schema(job.state))
    source: Any = ImageStream(job, worklist.pending("image"), masks, schema)
    if slides_pending:
        from cancernet_cli.engine.segment.slides import NucleiStream  # OpenSlide, which images do not need

        source = NucleiStream(job, source, worklist, workspace, report)
    workers = job.runtime.workers if slides_pending or pending > job.runtime.batch_size else 0
    loaded = load_batches(source, source.decoder, workers=workers)
    runner = open_mask_runner(job.options.segmenter, job.folder, job.card, job.runtime)
    tiles = (workspace.tile_part, PART_SCHEMA)
    with PartWriter(workspace.part, schema, workspace.next_number(), tiles=tiles) as writer:
        found = outcomes(source.batches(loaded), runner)
        done = write_outcomes(found, writer, STAGE, pending, report, strict=job.options.strict)
    give_memory_back()
    source.finish()
    report(StageFinished(STAGE))
    interruption.check(f"{done:,} of {pending:,} files are done and kept")


def _masks_state(masks: Mapping[str, bytes]) -> str:
    """A hash of the true masks' names, sizes and times; "" without any."""
    if not masks:
        return ""
    hashed = hashlib.sha256()
    for path, location in sorted(masks.items()):
        try:
            status = os.stat(location)
            facts = f"{status.st_size}:{status.st_mtime_ns}"
        except OSError:
            facts = "missing"
        hashed.update(f"{len(path)}:{path}:{facts}\n".encode())
    return hashed.hexdigest()
