"""Slides of a segment run: nuclei of each tile, and of the slide when all tiles are done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cancernet_cli.core.arrays import I64, Bools
from cancernet_cli.core.files import real_path
from cancernet_cli.core.nuclei import Nuclei, no_nuclei
from cancernet_cli.core.options import TilingOptions
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import DecodedBatch
from cancernet_cli.data.loading.slides import DecodedTiles, PlannedSlide, SlideDecoder, TileSpan
from cancernet_cli.data.tiles.slide_plan import Cut, SlidePlan
from cancernet_cli.engine.classify.batches import Batch
from cancernet_cli.engine.classify.slides.bad_tiles import NOT_READ, one_too_many, too_many
from cancernet_cli.engine.classify.slides.files import intersecting, read_regions
from cancernet_cli.engine.classify.slides.stream import TileStream
from cancernet_cli.engine.classify.worklist import Worklist
from cancernet_cli.engine.segment.images import SUFFIXES, ImageStream
from cancernet_cli.engine.segment.job import SegmentJob
from cancernet_cli.engine.segment.rows import file_row, part_row, summary
from cancernet_cli.engine.segment.slide_nuclei import Cores, merge_tiles
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.outputs.nuclei.geojson import write_nuclei_geojson
from cancernet_cli.outputs.nuclei.label_images import write_outlines_as_labels
from cancernet_cli.outputs.nuclei.overlay import draw_nuclei_on_slide
from cancernet_cli.outputs.pictures.files import write_jpeg
from cancernet_cli.outputs.side_files import side_path
from cancernet_cli.outputs.tables.nuclei import MEASURES, PART_SCHEMA
from cancernet_cli.outputs.tables.parts import BatchOutcome
from cancernet_cli.outputs.tables.workspace import Workspace
from cancernet_cli.segmentation.instances import separate_nuclei
from cancernet_cli.segmentation.nuclei import measure_nuclei


class NucleiState:
    """T tiles of a slide and their nuclei, filled as masks arrive.

    is_there: `[T]`, whether a tile is done, has failed or is outside the regions. errors: reasons, by tile.
    """

    read: int | None = None  # how many of its first tiles count, if the others were given up

    def __init__(self, file: FoundFile, plan: SlidePlan, job: SegmentJob, boxes: I64 | None) -> None:
        self.file, self.plan, self.job, self.boxes = file, plan, job, boxes
        self.cores = Cores(plan)
        self.nuclei: list[Nuclei] = [no_nuclei()] * len(plan.tiles)
        self.errors: dict[int, str] = {}
        everything = TileSpan(file, plan.tiles.size, np.arange(len(plan.tiles)), plan.tiles.x, plan.tiles.y)
        self.wanted: Bools = np.ones(len(plan.tiles), np.bool_) if boxes is None else intersecting(everything, boxes)
        self.is_there: Bools = ~self.wanted

    @property
    def is_complete(self) -> bool:
        """Whether no tile is left."""
        return bool(self.is_there.all())

    def restore(self, rows: pa.Table) -> None:
        """Restore tiles from an earlier run's parts, except those that could not be read."""
        rows = rows.filter(
            pc.and_(pc.greater_equal(rows["_number"], 0), pc.invert(pc.starts_with(rows["error"], "read: ")))
        )
        rows = rows.filter(pc.not_equal(rows["error"], str(NOT_READ)))
        for row in rows.to_pylist():
            number = row["_number"]
            self.is_there[number] = True
            if row["error"]:
                self.errors[number] = row["error"]
            measures = {name: np.array(row[name], np.float32) for name in MEASURES}
            outlines = [np.array(ring, np.float32).reshape(-1, 2) for ring in row["outline"]]
            self.nuclei[number] = Nuclei(labels=np.array(row["label"], np.int64), outlines=outlines, **measures)

    def spans(self, most: int) -> list[TileSpan]:
        """The remaining tiles in spans of at most `most`."""
        tiles, left = self.plan.tiles, np.flatnonzero(~self.is_there)
        cuts = (left[first : first + most] for first in range(0, len(left), most))
        return [TileSpan(self.file, tiles.size, numbers, tiles.x[numbers], tiles.y[numbers]) for numbers in cuts]

    def add(self, tiles: DecodedTiles, answer: Outputs, schema: pa.Schema) -> pa.RecordBatch:
        """Find the nuclei of tiles; returns their rows."""
        size, numbers = self.plan.tiles.size, tiles.span.numbers
        factor = size.width_px / size.view_width_px
        for row, index in enumerate(tiles.good.tolist()):
            assert answer.mask is not None
            number = int(numbers[index])
            found = measure_nuclei(separate_nuclei(answer.mask[row], self.job.view_mpp), tiles.pixels[row].numpy())
            placed = found.placed(factor, float(tiles.span.x[index]), float(tiles.span.y[index]))
            keep = self.cores.has(placed, number) & _inside(placed, self.boxes)
            self.nuclei[number] = placed.where(np.flatnonzero(keep))
        self.errors |= {int(numbers[i]): str(why) for i, why in tiles.failures.items()}
        self.is_there[numbers] = True
        return self._rows(numbers.tolist(), schema)

    def give_up(self, why: Failure, schema: pa.Schema) -> pa.RecordBatch:
        """Let all tiles have failed; returns their rows."""
        self.nuclei = [no_nuclei()] * len(self.nuclei)
        self.errors = {number: str(why) for number in np.flatnonzero(self.wanted).tolist()}
        self.is_there[:] = True
        return self._rows(list(self.errors), schema)

    def too_many_bad(self) -> int | None:
        """The number of the tile with which too many have failed (`bad_tiles`); None if they have not."""
        return one_too_many(self.errors, self.is_there, self.job.options.max_bad_tiles, int(self.wanted.sum()))

    def stop(self, last: int, schema: pa.Schema) -> pa.RecordBatch:
        """Let the tiles after `last` count as not read, even if they were; returns the rows of all tiles."""
        self.read = last + 1
        after = [number for number in np.flatnonzero(self.wanted).tolist() if number > last]
        for number in after:
            self.nuclei[number] = no_nuclei()
        self.errors |= dict.fromkeys(after, str(NOT_READ))
        self.is_there[:] = True
        return self._rows(np.flatnonzero(self.wanted).tolist(), schema)

    def predict(self) -> Failure | dict[str, Any]:
        """The columns of the slide's row that depend on its tiles, or why there are none."""
        count = int(self.wanted.sum())
        read = count if self.read is None else int(self.wanted[: self.read].sum())
        failed = len(self.errors) - (count - read)
        if not count:
            where = "" if self.boxes is None else " in the regions"
            return Failure("tile", "NoTissue", f"no tile has tissue{where} (--tissue none tiles the whole slide)")
        first = self.errors[min(self.errors)] if self.errors else ""
        if failed == read and first.startswith(("read: ", "decode: TimedOut", "decode: WorkerDied")):
            return Failure(*first.split(": ", 2))
        if read < count:
            return too_many(failed, read, count, first)
        if failed > self.job.options.max_bad_tiles * count:
            return Failure("tile", "TooManyBadTiles", f"{failed:,} of {count:,} tiles failed, the first: {first}")
        mpp, tissue_px = self.plan.resolution.mpp, self._tissue_px()
        error = f"tiles: {failed:,} of {count:,} failed, the first: {first}" if failed else ""
        self.merged = merge_tiles(self.nuclei, self.cores)
        return {
            **summary(self.merged, area_px=tissue_px, tissue_px=tissue_px, mpp=mpp),
            "status": "partial" if error else "ok",
            "error": error,
            "tiles": count,
            "failed_tiles": failed,
            "scale": mpp / self.job.view_mpp,
        }

    def facts(self) -> dict[str, Any]:
        """The columns that only depend on its plan."""
        level, resolution = self.plan.levels[0], self.plan.resolution
        return {
            "mpp": resolution.mpp,
            "mpp_source": resolution.source,
            "width_px": level.width_px,
            "height_px": level.height_px,
            "tissue_fraction": float(self.plan.tissue.mask.mean()),
            "flags": ",".join(self.plan.flags),
        }

    def _tissue_px(self) -> float:
        """Tissue in pixels of level 0; of the regions, if there are any."""
        mask, downsample = self.plan.tissue.mask, self.plan.tissue.downsample
        if self.boxes is not None:
            chosen = np.zeros_like(mask)
            for left, top, right, bottom in np.rint(self.boxes / downsample).astype(int).clip(min=0).tolist():
                chosen[top:bottom, left:right] = True
            mask = mask & chosen
        return float(mask.sum()) * downsample**2

    def _rows(self, numbers: list[int], schema: pa.Schema) -> pa.RecordBatch:
        rows = [part_row(self.file, self.nuclei[n], n, error=self.errors.get(n, "")) for n in numbers]
        return pa.Table.from_batches(rows, schema).combine_chunks().to_batches()[0]


class NucleiStream(TileStream):
    """Slides and images, see `engine.classify.slides.stream`."""

    def __init__(
        self,
        job: SegmentJob,
        images: ImageStream,
        worklist: Worklist,
        workspace: Workspace,
        report: Callable[..., None],
    ) -> None:
        super().__init__(worklist, workspace, iter(images), PART_SCHEMA, job.runtime.batch_size, report)
        self.job, self._of_images, self._schema = job, images, images.schema
        tiling = TilingOptions(**{field.name: getattr(job.options, field.name) for field in fields(TilingOptions)})
        cut = Cut(job.policy.width_px, job.policy.height_px, job.view_mpp)
        self.decoder = SlideDecoder(images.decoder, cut, tiling, keep_thumbnails=job.options.overlays)
        self._regions = read_regions(job.options.regions) if job.options.regions is not None else None

    def _batch(self, decoded: DecodedBatch) -> Batch:
        return self._of_images.batch(decoded)

    def _new_state(self, planned: PlannedSlide, plan: SlidePlan) -> NucleiState:
        none = np.empty((0, 4), np.int64)
        boxes = None if self._regions is None else self._regions.get(planned.file.path, none)
        return NucleiState(planned.file, plan, self.job, boxes)

    def _outcome(
        self, file: FoundFile, state: NucleiState | None, prediction: Failure | dict[str, Any]
    ) -> BatchOutcome:
        if isinstance(prediction, Failure) or state is None:
            assert isinstance(prediction, Failure), "a slide without a state has failed"
            row = file_row(file, self.job.name, prediction, self._schema)
            return BatchOutcome(row, files=1, failures=[(file.path, prediction)])
        row = file_row(file, self.job.name, state.facts() | prediction, self._schema)
        return BatchOutcome(row, part_row(file, state.merged), slide_writes(state, self.job), files=1)


def slide_writes(slide: NucleiState, job: SegmentJob) -> list[Callable[[], None]]:
    """One write per file that the options ask for; slides have no masks but their label image."""
    found, plan = slide.merged, slide.plan
    level, mpp = plan.levels[0], plan.resolution.mpp
    name = real_path(slide.file.path)
    places = {option: side_path(job.options.out / folder, name, end) for option, (folder, end) in SUFFIXES.items()}
    writes: list[Callable[[], None]] = []
    if job.options.geojson:
        writes.append(partial(write_nuclei_geojson, found, mpp, places["geojson"]))
    if job.options.instances:
        writes.append(
            partial(
                write_outlines_as_labels,
                found.outlines,
                found.labels,
                places["instances"],
                width_px=level.width_px,
                height_px=level.height_px,
                mpp=mpp,
            )
        )
    if job.options.overlays:

        def draw() -> None:
            thumbnail = plan.thumbnail
            picture = draw_nuclei_on_slide(
                thumbnail.pixels, found, downsample=thumbnail.downsample, title=slide.file.path, name=job.name, mpp=mpp
            )
            write_jpeg(picture, places["overlays"])

        writes.append(draw)
    return writes


def _inside(nuclei: Nuclei, boxes: I64 | None) -> Bools:
    """Which nuclei have their center in one of the regions."""
    if boxes is None:
        return np.ones(len(nuclei), np.bool_)
    left, top, right, bottom = boxes.T[:, None]
    x, y = nuclei.x[:, None], nuclei.y[:, None]
    return np.asarray(((x >= left) & (x < right) & (y >= top) & (y < bottom)).any(axis=1))
