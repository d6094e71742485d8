"""Classify files: discover, plan, decode, segment, classify, write; resumable, one row a file."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cancernet_cli.core import interruption
from cancernet_cli.core.errors import InputError, OutputError
from cancernet_cli.core.events import Note, Reporter, StageAdvanced, StageFinished, StageStarted, Warn, silent
from cancernet_cli.core.files import output_error
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.core.records import Failure, RunResult
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.loading.images import DecodedBatch, Decoder, chunks, load_batches
from cancernet_cli.data.loading.shrinking import batch_decoder
from cancernet_cli.engine.classify.finish import finish, from_finished, is_finished
from cancernet_cli.engine.classify.image_files import side_files
from cancernet_cli.engine.classify.job import Job, prepare, with_int8
from cancernet_cli.engine.classify.predictions import judge, record_batch
from cancernet_cli.engine.classify.step import Step
from cancernet_cli.engine.classify.worklist import Plan
from cancernet_cli.inference.int8 import VIEWS, image_views, make_int8
from cancernet_cli.inference.malloc import give_memory_back
from cancernet_cli.inference.open import open_runner
from cancernet_cli.inference.runner import Outputs, Runner
from cancernet_cli.outputs.tables.classified_tiles import slides_in
from cancernet_cli.outputs.tables.parts import Finished, PartWriter
from cancernet_cli.outputs.tables.predictions import part_origins, part_schema, table_schema
from cancernet_cli.outputs.tables.workspace import Workspace

if TYPE_CHECKING:
    from cancernet_cli.engine.classify.slide_stream import SlideStream

STAGE = "classify"


def classify(
    inputs: str | Path | Sequence[str | Path],
    options: ClassifyOptions | None = None,
    report: Reporter = silent,
    **changes: Any,
) -> RunResult:
    """Classify every image and slide that `inputs` name and write one row a file to `options.out`.

    Args:
        inputs: folders, files, glob patterns, manifests, or "-" for paths on standard input.
        options: default: the bundled model on the best device, into predictions.parquet.
        report: is told of progress, notes and warnings (`core.events`).
        changes: options by name, in place of those in `options`: `classify("slides", out="preds.parquet")`.

    Returns:
        Counts, failures and metrics; files that failed are no error here, `failed` counts them.

    Raises:
        CancernetError: nothing can be done at all; its subclass says why, its `fix` what mends it.
    """
    options = replace(options or ClassifyOptions(), **changes)
    started = time.monotonic()
    job = prepare(inputs, options)
    if options.out.is_dir():
        raise OutputError(f"{options.out} is a folder", fix="give --out the name of a file, such as preds.parquet")
    finished = not options.overwrite and is_finished(job)
    workspace = Workspace(options.out)
    try:
        with closing(_plan(job, workspace.folder, report)) as plan:
            if job.runtime.precision == "int8" and job.int8 is None:
                job = with_int8(job, _make_int8(job, plan, report))
            if finished:
                result = from_finished(job, plan, started)
                report(Note(f"{options.out} is finished already: no network runs (--overwrite makes it anew)"))
                if result.slides and any((options.geojson, options.heatmaps, options.probability_maps)):
                    from cancernet_cli.engine.classify.rewrite_slide_files import write_again  # as in `_run`

                    write_again(job, plan, report)
            else:
                workspace.adopt(job.parts_state, overwrite=options.overwrite)
                known = _use_parts(plan, workspace, retry=True)
                reused = len(plan) - plan.count_pending()
                _run(job, plan, workspace, report)
                _use_parts(plan, workspace, known, retry=False)
                result = finish(job, plan, workspace, reused=reused, started=started)
    except (OSError, sqlite3.OperationalError) as error:
        workspace.close()
        raise output_error(options.out, error if isinstance(error, OSError) else OSError(str(error))) from error
    except BaseException:
        workspace.close()
        raise
    workspace.remove()
    if result.metrics is None and (options.metrics or options.labels not in ("auto", "none")):
        report(Warn("no file has a true label, so there are no metrics"))
    return replace(result, unlisted_folders=plan.unlisted_folders)


def outlook(
    inputs: str | Path | Sequence[str | Path], options: ClassifyOptions, report: Reporter = silent
) -> dict[str, Any]:
    """What `classify` would do with the same arguments: nothing is decoded and nothing written."""
    job = prepare(inputs, options)
    finished = not options.overwrite and is_finished(job)
    with tempfile.TemporaryDirectory() as scratch, closing(_plan(job, Path(scratch), report)) as plan:
        return {
            "files": len(plan),
            **{f"{kind}s": count for kind, count in plan.kinds().items()},
            "endings": plan.endings(),
            "model": job.card.name,
            "segmenter": job.card.segmentation.segmenter,
            **job.runtime.settings,
            "out": str(options.out),
            "is_finished": finished,
        }


def _plan(job: Job, folder: Path, report: Reporter) -> Plan:
    """Every file that the inputs name, in a database in `folder`."""
    plan = Plan(folder / "plan.sqlite")
    stage = "find files"
    report(StageStarted(stage))

    def unlisted() -> None:
        plan.unlisted_folders += 1

    side = [path for path in job.side_folders.values() if path is not None]
    files = discover(
        job.inputs,
        base=job.base,
        labels=job.options.labels,
        classes=job.card.architecture.classes,
        exclude=side,
        stdin=sys.stdin.buffer if "-" in job.inputs else None,
        kind=job.options.kind,
        on_problem=lambda message: report(Warn(message)),
        on_unlisted=unlisted,
    )
    for count in plan.add(files):
        report(StageAdvanced(stage, count))
        interruption.check()
    report(StageFinished(stage))
    if not len(plan):
        plan.close()
        raise InputError(
            f"no image and no slide was found under {', '.join(job.inputs[:3])}",
            fix="give a folder with slides, or PNG, JPEG, TIFF, BMP or WebP files, or name the files themselves",
        )
    return plan


def _make_int8(job: Job, plan: Plan, report: Reporter) -> Path:
    """The model's networks quantised by images of this run, and by tiles of its slides where these do not suffice."""
    kinds = plan.kinds()
    views = image_views(plan.sample(VIEWS, "image"), job.card, round(job.options.max_megapixels * 1e6))
    if kinds["slide"] and kinds["image"] < VIEWS:
        from cancernet_cli.engine.classify.slide_stream import tile_views  # scikit-image and OpenSlide

        views = chain(views, tile_views(plan.sample(VIEWS, "slide"), job, -(-VIEWS // kinds["slide"])))
    return make_int8(job.folder, job.card, views, report=report)


def _use_parts(plan: Plan, workspace: Workspace, known: Set[Path] = frozenset(), *, retry: bool) -> set[Path]:
    """Mark as done what finished parts hold and is unchanged; drop parts that cannot be read.

    `known` are the parts that were marked before, of either table; returns those that were marked now. `retry` leaves
    files that could not be read to be done.
    """
    marked = set()
    for number, path in workspace.parts().items():
        if path in known:
            continue
        try:
            rows = list(part_origins(path, retry=retry))
        except (OSError, pa.ArrowException):
            path.unlink()
            continue
        plan.mark_done((number, row, name, size, mtime) for row, name, size, mtime in rows)
        marked.add(path)
    for number, path in workspace.tile_parts().items():
        if path in known:
            continue
        try:
            plan.mark_tiles(number, slides_in(path))
        except (OSError, pa.ArrowException):
            path.unlink()
            continue
        marked.add(path)
    return marked


def _run(job: Job, plan: Plan, workspace: Workspace, report: Reporter) -> None:
    """Decode and classify what is pending, into parts."""
    options, card, runtime = job.options, job.card, job.runtime
    pending, slides_pending = plan.count_pending(), plan.count_pending("slide")
    if not pending:
        return
    wants_masks = bool(options.overlays or options.masks)
    max_pixels, shrink = round(options.max_megapixels * 1e6), options.jpeg_scale == "auto"
    images = batch_decoder(card.input, max_pixels, keep_originals=wants_masks, shrink=shrink)
    # One batch of images: a process costs more than it saves.
    workers = runtime.workers if slides_pending or pending > runtime.batch_size else 0
    # A grid cuts a field of a microscope into some four views, a large image into up to `max_views`.
    files_a_batch = runtime.batch_size if card.input.view == "resize" else max(1, runtime.batch_size // 4)
    schema = part_schema(table_schema(card.architecture.classes, job.state))
    work: Iterable[Any] = chunks(plan.pending("image"), files_a_batch)
    decoder: Decoder[Any, Any] = images
    slides: SlideStream | None = None
    if slides_pending:
        from cancernet_cli.engine.classify.slide_stream import SlideStream, slide_decoder  # scikit-image and OpenSlide

        work = slides = SlideStream(job, plan, workspace, iter(work), schema, report)
        decoder = slide_decoder(job, images)
    # The workers start decoding while the networks are loaded.
    batches = load_batches(work, decoder, workers=workers, pin_memory=runtime.device.type == "cuda")
    files = None if slides_pending else len(plan)  # a slide is as much work as thousands of images
    runner = open_runner(job.folder, card, runtime, int8=job.int8, want_mask=wants_masks, files=files, report=report)
    report(StageStarted(STAGE, pending))
    done = 0
    tiles = (workspace.tile_part, slides.tile_schema) if slides is not None else None
    with PartWriter(workspace.part, schema, workspace.next_number(), tiles=tiles) as writer:
        for loaded, answer in _answers(batches, runner):
            if slides is not None and not isinstance(loaded, DecodedBatch):
                step = slides.take(loaded, answer)
            else:
                step = _classified(loaded, answer, job, schema)
            if step.failures and options.strict:
                path, why = step.failures[0]
                raise InputError(f"{path} failed: {why}", fix="mend or remove the file, or run without --strict")
            writer.put(step.finished)
            done += step.files
            report(StageAdvanced(STAGE, step.files, len(step.failures)))
            if interruption.requested():
                break
    give_memory_back()
    if slides is not None:
        slides.finish()
    report(StageFinished(STAGE))
    interruption.check(f"{done:,} of {pending:,} files are done and kept")


def _classified(batch: DecodedBatch, answer: Outputs, job: Job, schema: pa.Schema) -> Step:
    """What classified images add to the table."""
    options, card = job.options, job.card
    verdicts = judge(batch, answer, card)
    failures = [(file.path, v) for file, v in zip(batch.files, verdicts, strict=True) if isinstance(v, Failure)]
    sides: list[Callable[[], None]] = []
    if options.overlays or options.masks:
        sides = side_files(batch, verdicts, answer, card, overlays=options.overlays, masks=options.masks)
    rows = record_batch(batch, verdicts, card, schema)
    return Step(Finished(rows, side_files=sides), len(batch.files), failures)


def _answers(batches: Iterator[Any], runner: Runner) -> Iterator[tuple[Any, Any]]:
    """Each batch with its answer, late: the device works on the next ones while this one's rows are written.

    A slide's plan, which needs no networks, comes at once and with None; None, which stands for nothing, does not come.
    """
    waiting: deque[tuple[Any, Callable[[], Outputs]]] = deque()
    for batch in batches:
        if not hasattr(batch, "pixels"):
            if batch is not None:
                yield batch, None
            continue
        waiting.append((batch, runner.start(batch.pixels)))
        if len(waiting) > runner.in_flight:
            ready, wait = waiting.popleft()
            yield ready, wait()
    for ready, wait in waiting:
        yield ready, wait()
