"""Classify files: discover, decode, segment, classify, write; resumable, one row per file."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from cancernet_cli.core.events import Note, Reporter, Warn, silent
from cancernet_cli.core.figures import counted
from cancernet_cli.core.files import output_error
from cancernet_cli.core.options import ClassifyOptions, flag_name
from cancernet_cli.core.options.base import chosen
from cancernet_cli.core.options.sinks import with_sinks
from cancernet_cli.core.records import RunResult
from cancernet_cli.engine.classify.find_files import find_files, kinds_to_write, make_sink_folders
from cancernet_cli.engine.classify.finish import (
    check_extends,
    check_replaceable,
    finish,
    from_finished,
    is_current,
    is_finished,
    other_files,
)
from cancernet_cli.engine.classify.flags import OUT_OF_DOMAIN, novelty_warning
from cancernet_cli.engine.classify.job import Job, prepare, with_int8
from cancernet_cli.engine.classify.pending import DEFAULT_HOOKS, Hooks, classify_pending, reuse_finished, use_parts
from cancernet_cli.engine.classify.worklist import Worklist
from cancernet_cli.inference.int8 import VIEWS, Int8Network, image_views, make_int8
from cancernet_cli.outputs.tables.contents import ContentHashes
from cancernet_cli.outputs.tables.spreadsheets import check_size
from cancernet_cli.outputs.tables.workspace import Workspace


def classify(
    inputs: str | Path | Sequence[str | Path],
    options: ClassifyOptions | None = None,
    report: Reporter = silent,
    hooks: Hooks = DEFAULT_HOOKS,
    **changes: Any,
) -> RunResult:
    """Classify every image and slide in `inputs` and write one row per file to `options.out`.

    Args:
        inputs: Folders, files, glob patterns, manifests, or "-" for paths on standard input.
        options: Defaults to the bundled model on the best device, writing predictions.parquet.
        report: Called with progress, notes and warnings (`core.events`).
        hooks: For measurements and tests.
        changes: Options by name that override `options`, as in `classify("slides", out="preds.parquet")`.

    Returns:
        Counts, failures and metrics. Files that could not be classified do not raise; `failed` counts them.

    Raises:
        CancernetError: The run cannot start or continue. The subclass states the kind of problem, `fix` the remedy.
    """
    options = chosen(with_sinks(ClassifyOptions), options, changes)
    started = time.monotonic()
    job = prepare(inputs, options)
    is_done = not options.overwrite and is_finished(job)
    workspace = Workspace(job.options.out)
    try:
        with closing(find_files(job, workspace.folder, report)) as worklist:
            check_size(len(worklist), job.spreadsheet or job.options.out)
            if job.runtime.precision == "int8" and job.int8 is None:
                job = with_int8(job, _make_int8(job, worklist, report))
            if is_done and is_current(job, worklist):
                result = _reuse(job, worklist, workspace, report, started)
            else:
                result = _resume(job, worklist, workspace, report, hooks, started, extend=is_done)
    except (OSError, sqlite3.OperationalError) as error:
        workspace.close()
        raise output_error(job.options.out, error if isinstance(error, OSError) else OSError(str(error))) from error
    except BaseException:
        workspace.close()
        raise
    workspace.remove()
    if result.metrics is None and (options.metrics or options.labels not in ("auto", "none")):
        report(Warn("no file has a true label, so there are no metrics"))
    if unlike := result.flag_counts.get(OUT_OF_DOMAIN):
        report(Warn(novelty_warning(unlike, result.files)))
    if options.report_file is not None:
        _write_page(options.report_file, job, report)
    return replace(result, unlisted_folders=worklist.unlisted_folders, report_file=options.report_file)


def dry_run(
    inputs: str | Path | Sequence[str | Path], options: ClassifyOptions, report: Reporter = silent
) -> dict[str, Any]:
    """Describe what `classify` would do with the same arguments, without decoding or writing anything."""
    job = prepare(inputs, options)
    is_done = not options.overwrite and is_finished(job)
    with tempfile.TemporaryDirectory() as scratch, closing(find_files(job, Path(scratch), report)) as worklist:
        return {
            "files": len(worklist),
            **{f"{kind}s": count for kind, count in worklist.kinds().items()},
            "endings": worklist.endings(),
            "model": job.card.name,
            "segmenter": job.card.segmentation.segmenter,
            **job.runtime.settings,
            "out": str(job.spreadsheet or job.options.out),
            "is_finished": is_done,
        }


def _write_page(out: Path, job: Job, report: Reporter) -> None:
    """Write the HTML page that was asked for."""
    from cancernet_cli.core.options import ReportOptions
    from cancernet_cli.engine.report.run import report as write_page  # scikit-learn takes a second to import

    wanted = ReportOptions(out=out, workers=job.options.workers, file_timeout=job.options.file_timeout)
    write_page(job.options.out, wanted, report)


def _make_int8(job: Job, worklist: Worklist, report: Reporter) -> Int8Network:
    """Quantize the model's networks, calibrated on images of this run and, if too few, on tiles of its slides."""
    kinds = worklist.kinds()
    views = image_views(worklist.sample(VIEWS, "image"), job.card, round(job.options.max_megapixels * 1e6))
    if kinds["slide"] and kinds["image"] < VIEWS:
        from cancernet_cli.engine.classify.slides.stream import tile_views  # scikit-image and OpenSlide

        views = chain(views, tile_views(worklist.sample(VIEWS, "slide"), job, -(-VIEWS // kinds["slide"])))
    return make_int8(job.folder, job.card, views, report=report)


def _reuse(job: Job, worklist: Worklist, workspace: Workspace, report: Reporter, started: float) -> RunResult:
    """The result of a finished run; sinks write the files of its slides from the tables."""
    result = from_finished(job, worklist, workspace, report, started)
    asked = job.spreadsheet or job.options.out
    report(Note(f"{asked} is already complete; no network runs (use --overwrite to start from scratch)"))
    lost = kinds_to_write(job, worklist) & {"image", "tile"}
    missing = [
        sink
        for sink in job.sinks
        if (sink.needs("explanation") or any(sink.writes(kind) for kind in lost)) and not sink.folder.exists()
    ]
    if result.slides and any(sink.writes("slide") and not sink.needs("explanation") for sink in job.sinks):
        from cancernet_cli.engine.classify.slides.rewrite import rewrite_slide_files  # scikit-image and OpenSlide

        make_sink_folders(job, {"slide"}, report)
        rewrite_slide_files(job, worklist, report)
    for sink in missing:
        report(Warn(f"{flag_name(sink.name)} was not written, because {job.options.out} is already complete"))
    return result


def _resume(
    job: Job,
    worklist: Worklist,
    workspace: Workspace,
    report: Reporter,
    hooks: Hooks,
    started: float,
    *,
    extend: bool,
) -> RunResult:
    """Classify what the parts of an earlier, unfinished run do not contain, and finish the run.

    extend: there is a finished table of some of the files, whose rows are reused too.
    """
    out = job.options.out
    if extend:
        check_extends(job)
    check_replaceable(job)
    workspace.adopt(job.parts_state, overwrite=job.options.overwrite)
    with closing(ContentHashes(workspace.folder / "contents.sqlite", job.base)) as contents:
        if extend:
            try:
                reuse_finished(job, worklist, workspace, contents)
            except (pa.ArrowException, ValueError):  # damaged, or of another table
                raise other_files(job) from None
        known = use_parts(worklist, workspace, retry=True)
        reused = len(worklist) - worklist.count_pending()
        if extend:
            report(Note(f"{out} was made from other files; the rows of {counted(reused, 'unchanged file')} are reused"))
        make_sink_folders(job, kinds_to_write(job, worklist), report)
        classify_pending(job, worklist, workspace, contents, report, hooks)
        use_parts(worklist, workspace, known, retry=False)
        return finish(job, worklist, workspace, contents, report, reused=reused, started=started)
