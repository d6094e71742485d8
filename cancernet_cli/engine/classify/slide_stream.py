"""Slides among the files of a run: what the workers do next, and what becomes of what they have done."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from cancernet_cli.core.arrays import I64, Pixels
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageGrew, StageStarted, Warn
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import BatchDecoder
from cancernet_cli.data.loading.slides import DecodedTiles, PlannedSlide, SlideDecoder, SlideToPlan, TileSpan, Work
from cancernet_cli.data.tiles.slide_plan import Cut
from cancernet_cli.data.tiles.target_mpp import target_mpp
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.mask_regions import read_regions
from cancernet_cli.engine.classify.predictions import slide_batch
from cancernet_cli.engine.classify.slide_files import slide_files, tile_masks
from cancernet_cli.engine.classify.slide_state import SlideRun
from cancernet_cli.engine.classify.step import Step
from cancernet_cli.engine.classify.worklist import Plan
from cancernet_cli.inference.runner import Answer
from cancernet_cli.outputs.tables.classified_tiles import classified_tile_schema, tile_part_schema, tiles_of
from cancernet_cli.outputs.tables.parts import Finished
from cancernet_cli.outputs.tables.workspace import Workspace

STAGE = "tiles"
UNDER_WAY = 2  # slides: one whose tiles are read, and one planned meanwhile, so that the next one's tiles are ready


class SlideStream:
    """Work for the workers, and rows from what they and the networks make of it.

    Iterating gives work: plans of slides, a slide ahead; tiles of the slides that are planned; images where no tiles
    are ready. While nothing but plans is awaited it gives None, which asks for nothing, so as not to end: what it gives
    next depends on what `take` has been told.

    tile_schema: of a part of the tile table.

    Args:
        images: lists of images that are still to be done.
        schema: of a part of the main table.
    """

    def __init__(
        self,
        job: Job,
        plan: Plan,
        workspace: Workspace,
        images: Iterator[list[FoundFile]],
        schema: pa.Schema,
        report: Reporter,
    ) -> None:
        self._job, self._plan, self._workspace, self._report = job, plan, workspace, report
        self._schema = schema
        self.tile_schema = tile_part_schema(classified_tile_schema(job.card.architecture.classes, job.state))
        self._tile_parts = workspace.tile_parts()
        self._images, self._slides = images, plan.pending("slide")
        self._planning = 0
        self._spans: deque[deque[TileSpan]] = deque()
        self._runs: dict[str, SlideRun] = {}
        self._regions: dict[str, I64] = {}
        if job.options.mask_regions is not None:
            self._regions = read_regions(job.options.mask_regions)
        report(StageStarted(STAGE, 0, "tiles"))

    def __iter__(self) -> Iterator[Work]:
        while True:
            slide = next(self._slides, None) if self._planning + len(self._spans) < UNDER_WAY else None
            if slide is not None:
                self._planning += 1
                yield SlideToPlan(slide)
            elif self._spans:
                yield self._spans[0].popleft()
                if not self._spans[0]:
                    self._spans.popleft()
            elif (files := next(self._images, None)) is not None:
                yield files
            elif self._planning:
                yield None
            else:
                return

    def take(self, done: PlannedSlide | DecodedTiles, answer: Answer | None) -> Step:
        """What a plan or classified tiles add to the tables."""
        if isinstance(done, PlannedSlide):
            return self._planned(done)
        assert answer is not None, "tiles come with an answer"
        return self._classified(done, answer)

    def finish(self) -> None:
        """No more will come."""
        self._report(StageFinished(STAGE))

    def _planned(self, planned: PlannedSlide) -> Step:
        self._planning -= 1
        file = planned.file
        if isinstance(planned.plan, Failure):
            rows = slide_batch(file, None, planned.plan, self._job.card, self._schema)
            return Step(Finished(rows), 1, [(file.path, planned.plan)])
        for words in planned.plan.warnings():
            self._report(Warn(f"{file.path}: {words}"))
        run = SlideRun(file, planned.plan, self._job.card, self._job.options)
        parts = [self._tile_parts[number] for number in self._plan.tile_parts(file.path)]
        kept = tiles_of(file.path, file.size_bytes, file.mtime_ns, parts)
        if kept is not None:
            run.restore(kept)
        if run.is_complete:
            return self._complete(run)
        spans = deque(run.spans(self._job.runtime.batch_size))
        self._report(StageGrew(STAGE, sum(map(len, spans))))
        self._spans.append(spans)
        self._runs[file.path] = run
        return Step(Finished(), 0)

    def _classified(self, tiles: DecodedTiles, answer: Answer) -> Step:
        name = tiles.span.file.path
        run = self._runs[name]
        rows = run.put(tiles, answer, self.tile_schema)
        folder = self._job.options.masks
        masks = tile_masks(tiles, answer, self._regions.get(name), folder) if folder is not None else []
        self._report(StageAdvanced(STAGE, len(tiles.span), len(tiles.failures)))
        if not run.is_complete:
            return Step(Finished(tiles=rows, side_files=masks), 0)
        del self._runs[name]
        end = self._complete(run)
        return Step(Finished(end.finished.rows, rows, [*masks, *end.finished.side_files]), 1, end.failures)

    def _complete(self, run: SlideRun) -> Step:
        verdict = run.verdict()
        rows = slide_batch(run.file, run.plan, verdict, self._job.card, self._schema)
        if isinstance(verdict, Failure):
            return Step(Finished(rows), 1, [(run.file.path, verdict)])
        return Step(Finished(rows, side_files=slide_files(run, verdict, self._job.options)), 1)


def slide_decoder(job: Job, images: BatchDecoder | None = None) -> SlideDecoder:
    """What plans slides and reads their tiles as the model looks at them; and images, if it gets a decoder for them."""
    policy, options = job.card.input, job.options
    cut = Cut(policy.width_px, policy.height_px, target_mpp(policy).mpp)
    wants_thumbnails = options.heatmaps is not None
    return SlideDecoder(images or BatchDecoder(policy, 0), cut, options, keep_thumbnails=wants_thumbnails)


def tile_views(slides: Iterable[FoundFile], job: Job, most: int) -> Iterator[Pixels]:
    """`[1, h, w, 3]` uint8: at most so many tiles of each slide, at even distances over its tissue."""
    decoder = slide_decoder(job)
    for file in slides:
        planned = decoder[SlideToPlan(file)]
        if not isinstance(planned, PlannedSlide) or isinstance(planned.plan, Failure):
            continue  # its row will say why
        numbers = np.unique(np.linspace(0, len(planned.plan.tiles) - 1, most).round().astype(np.int64))
        run = SlideRun(file, planned.plan, job.card, job.options)
        for span in run.spans(1) if len(run) else ():
            if span.numbers[0] in numbers:
                tiles = decoder[span]
                assert isinstance(tiles, DecodedTiles)
                yield from (view.numpy()[None] for view in tiles.pixels)
