"""Slides among the files of a run: work for the loader, and batches from the plans and tiles that it returns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import partial
from typing import Any, cast

import numpy as np
import pyarrow as pa

from cancernet_cli.core.arrays import I64, Pixels
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageGrew, StageStarted, Warn
from cancernet_cli.core.options import TilingOptions
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, DecodedBatch
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.data.loading.slides import DecodedTiles, Done, Idle, PlannedSlide, SlideDecoder, SlideToPlan, Work
from cancernet_cli.data.tiles.slide_plan import Cut, SlidePlan
from cancernet_cli.data.tiles.target_mpp import target_mpp
from cancernet_cli.engine.classify.batches import Batch, ImageSource
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.predictions import slide_batch
from cancernet_cli.engine.classify.slides.files import Writes, read_regions, slide_writes, tile_writes
from cancernet_cli.engine.classify.slides.state import SlideState
from cancernet_cli.engine.classify.worklist import Worklist
from cancernet_cli.engine.explain.explanations import Explanations
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.outputs.tables.classified_tiles import classified_tile_schema, tile_part_schema, tiles_of
from cancernet_cli.outputs.tables.parts import BatchOutcome
from cancernet_cli.outputs.tables.workspace import Workspace

STAGE = "tiles"
FEWEST_CRASHES = 4  # of tiles that were read together, each alone
SLIDES_AT_ONCE = 2  # one is being read while the next is planned, so that its tiles are ready in time


class TileStream:
    """Slides and images.

    Iterating yields plans of slides, one slide ahead; tiles of planned slides; and images while no tiles are ready.
    While only plans are pending it yields `Idle` instead of ending, because more work follows once they are committed.

    A subclass decides what becomes of images, tiles and slides, by the methods at the end.

    Args:
        images: work for the loader, the pending images. batch_size: tiles that are read together.
    """

    explanations: Explanations | None = None

    def __init__(
        self,
        worklist: Worklist,
        workspace: Workspace,
        images: Iterator[list[FoundFile]],
        tile_schema: pa.Schema,
        batch_size: int,
        report: Reporter,
    ) -> None:
        self._worklist, self._report = worklist, report
        self._images, self.tile_schema, self._batch_size = images, tile_schema, batch_size
        self._tile_parts = workspace.tile_parts()
        self._slides = worklist.pending("slide")
        self._planning = 0
        self._spans: deque[deque[Any]] = deque()
        self._states: dict[str, Any] = {}
        report(StageStarted(STAGE, 0, "tiles"))

    def __iter__(self) -> Iterator[Work]:
        images = self._images
        while True:
            slide = next(self._slides, None) if self._planning + len(self._spans) < SLIDES_AT_ONCE else None
            if slide is not None:
                self._planning += 1
                yield SlideToPlan(slide)
            elif self._spans:
                span = self._spans[0].popleft()
                if not self._spans[0]:
                    self._spans.popleft()
                yield span
            elif (files := next(images, None)) is not None:
                yield files
            elif self._planning:
                yield Idle()
            else:
                return

    def batches(self, loaded: Iterator[Done]) -> Iterator[Batch]:
        """A batch for everything loaded but `Idle`."""
        for done in loaded:
            match done:
                case DecodedBatch():
                    yield self._batch(done)
                case PlannedSlide():
                    yield Batch(None, partial(self._add_plan, done))
                case DecodedTiles():
                    yield Batch(done.pixels, partial(self._add_tiles, done))

    def finish(self) -> None:
        """End the stage of tiles."""
        self._report(StageFinished(STAGE))

    def _add_plan(self, planned: PlannedSlide, _: Outputs) -> BatchOutcome:
        """Queue the tiles of a planned slide; a slide that failed or has all its tiles already is completed."""
        self._planning -= 1
        file = planned.file
        if isinstance(planned.plan, Failure):
            return self._outcome(file, None, planned.plan)
        for message in planned.plan.warnings():
            self._report(Warn(f"{file.path}: {message}"))
        state = self._new_state(planned, planned.plan)
        parts = [self._tile_parts[number] for number in self._worklist.tile_parts(file.path)]
        restored = tiles_of(file, parts)
        rows = None
        if restored is not None:
            state.restore(restored)
            if (last := state.too_many_bad()) is not None:
                rows = state.stop(last, self.tile_schema)
        if self.explanations is not None and rows is None:
            state.keep_telling_views()
        if state.is_complete:
            end = self._outcome(file, state, state.predict())
            return BatchOutcome(end.rows, _both(rows, end.tiles), end.writes, end.files, end.failures)
        spans = deque(state.spans(self._batch_size))
        self._report(StageGrew(STAGE, sum(map(len, spans))))
        self._spans.append(spans)
        self._states[file.path] = state
        return BatchOutcome()

    def _add_tiles(self, tiles: DecodedTiles, answer: Outputs) -> BatchOutcome:
        """Record classified tiles; the last ones of a slide complete it."""
        name = tiles.span.file.path
        state = self._states.get(name)
        if state is None:  # the slide has been given up
            return BatchOutcome()
        if (why := hopeless(tiles)) is not None:
            return self._give_up(state, why)
        rows = state.add(tiles, answer, self.tile_schema)
        writes = self._tile_writes(tiles, answer)
        self._report(StageAdvanced(STAGE, len(tiles.span), len(tiles.failures)))
        if (last := state.too_many_bad()) is not None:
            self._read_no_more(state)
            rows = state.stop(last, self.tile_schema)
        if not state.is_complete:
            return BatchOutcome(tiles=rows, writes=writes)
        del self._states[name]
        end = self._outcome(state.file, state, state.predict())
        return BatchOutcome(end.rows, _both(rows, end.tiles), [*writes, *end.writes], end.files, end.failures)

    def _give_up(self, state: Any, why: Failure) -> BatchOutcome:
        """End a slide whose remaining tiles would take too long as well; all of its tiles have failed."""
        self._read_no_more(state)
        rows = state.give_up(why, self.tile_schema)
        del self._states[state.file.path]
        end = self._outcome(state.file, state, state.predict())
        return BatchOutcome(end.rows, _both(rows, end.tiles), [], end.files, end.failures)

    def _read_no_more(self, state: Any) -> None:
        """Forget the tiles of a slide that are still to be read; those being read are ignored."""
        left = sum(not is_there for is_there in state.is_there)
        self._spans = deque(spans for spans in self._spans if spans[0].file.path != state.file.path)
        self._report(StageAdvanced(STAGE, left, left))

    def _batch(self, decoded: DecodedBatch) -> Batch:
        """The batch of decoded images."""
        raise NotImplementedError

    def _new_state(self, planned: PlannedSlide, plan: SlidePlan) -> Any:
        """The state of a planned slide, with the methods of `SlideState`."""
        raise NotImplementedError

    def _tile_writes(self, tiles: DecodedTiles, answer: Outputs) -> Writes:
        """The files that tiles add."""
        return []

    def _outcome(self, file: FoundFile, state: Any, prediction: Failure | dict[str, Any]) -> BatchOutcome:
        """The rows and files of a completed slide; its state is None if it could not be planned."""
        raise NotImplementedError


class SlideStream(TileStream, ImageSource):
    """Slides and images to classify."""

    tile_schema: pa.Schema

    def __init__(self, job: Job, worklist: Worklist, workspace: Workspace, schema: pa.Schema, report: Reporter) -> None:
        ImageSource.__init__(self, job, worklist.pending("image"), schema)
        tile_schema = tile_part_schema(classified_tile_schema(job.card.architecture.classes, job.state))
        images = ImageSource.__iter__(self)
        TileStream.__init__(self, worklist, workspace, images, tile_schema, job.runtime.batch_size, report)
        self.decoder = slide_decoder(job, cast(BatchDecoder, self.decoder))
        regions = job.options.mask_regions
        self._regions: dict[str, I64] = read_regions(regions) if regions is not None else {}

    def _batch(self, decoded: DecodedBatch) -> Batch:
        return ImageSource._batch(self, decoded)

    def _new_state(self, planned: PlannedSlide, plan: SlidePlan) -> SlideState:
        state = SlideState(planned.file, plan, self.job.card, self.job.options)
        state.seen = planned.seen
        return state

    def _tile_writes(self, tiles: DecodedTiles, answer: Outputs) -> Writes:
        return tile_writes(tiles, answer, self._regions.get(tiles.span.file.path), self.job)

    def _outcome(self, file: FoundFile, state: SlideState | None, prediction: Failure | dict[str, Any]) -> BatchOutcome:
        plan = None if state is None else state.plan
        seen = None if state is None else state.seen
        rows = slide_batch(file, plan, prediction, self.job.card, self.schema, seen=seen)
        if state is None or isinstance(prediction, Failure):
            assert isinstance(prediction, Failure), "a slide without a state has failed"
            return BatchOutcome(rows, files=1, failures=[(file.path, prediction)])
        return BatchOutcome(rows, writes=slide_writes(state, prediction, self.job, self.explanations), files=1)


def _both(rows: pa.RecordBatch | None, more: pa.RecordBatch | None) -> pa.RecordBatch | None:
    """The rows of both."""
    if rows is None or more is None:
        return rows or more
    return pa.Table.from_batches([rows, more]).combine_chunks().to_batches()[0]


def hopeless(tiles: DecodedTiles) -> Failure | None:
    """Why no more tiles of a slide should be read: some took too long, or each of several crashed its reader."""
    failures = list(tiles.failures.values())
    late = next((why for why in failures if why.error == "TimedOut"), None)
    if late is None and len(failures) == len(tiles.span) >= FEWEST_CRASHES:
        return failures[0] if all(why.error == "WorkerDied" for why in failures) else None
    return late


def slide_decoder(job: Job, images: BatchDecoder | None = None) -> SlideDecoder:
    """Decoder that plans slides and reads their tiles as the model's views; also images if given their decoder."""
    policy, options = job.card.input, job.options
    cut = Cut(*(policy.tile_px or (policy.width_px, policy.height_px)), target_mpp(policy).mpp)
    tiling = TilingOptions(**{field.name: getattr(options, field.name) for field in fields(TilingOptions)})
    images = images or BatchDecoder(policy, options.max_pixels, timeout_s=options.file_timeout)
    return SlideDecoder(images, cut, tiling, keep_thumbnails=job.needs("thumbnail"))


def tile_views(slides: Iterable[FoundFile], job: Job, most: int) -> Iterator[Pixels]:
    """Yield at most `most` tiles per slide, evenly spaced over its tissue, each `[1, h, w, 3]` uint8."""
    decoder = slide_decoder(job)
    for planned in load_batches(map(SlideToPlan, slides), decoder, workers=0):
        if not isinstance(planned, PlannedSlide) or isinstance(planned.plan, Failure):
            continue  # its row will state the reason
        numbers = np.unique(np.linspace(0, len(planned.plan.tiles) - 1, most).round().astype(np.int64))
        state = SlideState(planned.file, planned.plan, job.card, job.options)
        spans = [span for span in state.spans(1) if span.numbers[0] in numbers] if len(state) else []
        for tiles in load_batches(spans, decoder, workers=0):
            assert isinstance(tiles, DecodedTiles)
            yield from (view.numpy()[None] for view in tiles.pixels)
