"""Plan the tiles of slides, to check tissue detection and tiling before hours of computing. No torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.core import interruption
from cancernet_cli.core.cards import read_card
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Note, Reporter, StageAdvanced, StageFinished, StageStarted, Warn, silent
from cancernet_cli.core.figures import show_percent
from cancernet_cli.core.files import atomic_write, check_output_folder, mark_output, output_error, real_path
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import TileOptions
from cancernet_cli.core.options.base import chosen, input_names
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.core.results import Result
from cancernet_cli.data.discovery.discover import find_slides
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.data.slides import Slide, UnreadableSlide, open_slide
from cancernet_cli.data.tiles.pixels import read_tiles
from cancernet_cli.data.tiles.slide_plan import Cut, SlidePlan, plan_slide, tile_boxes
from cancernet_cli.data.tiles.target_mpp import target_mpp
from cancernet_cli.outputs.pictures.files import write_png
from cancernet_cli.outputs.pictures.tile_preview import draw_tile_preview
from cancernet_cli.outputs.side_files import side_path
from cancernet_cli.outputs.tables.predictions import row_batch
from cancernet_cli.outputs.tables.tile_table import SLIDE_SCHEMA, TILE_SCHEMA

STAGE = "tile"
TILES_FILE, SLIDES_FILE = "tiles.parquet", "slides.parquet"
_TILES_AT_ONCE = 64
_SOURCES = {
    "slide": "from the slide",
    "tiff_resolution": "from its TIFF resolution",
    "objective": "from its objective power",
    "option": "given with --mpp",
    "model": "ASSUMED: the model's",
}


@dataclass(frozen=True)
class TileResult(Result):
    """A finished tile plan.

    Attributes:
        out: The folder with tables and pictures.
        tiles_file: The table of tiles.
        slides_file: The table of slides.
        slides: The number of slides.
        failed: Slides that could not be planned.
        tiles: The number of tiles.
        rows: The rows of `slides_file`.
    """

    out: Path
    tiles_file: Path
    slides_file: Path
    slides: int
    failed: int
    tiles: int
    rows: list[dict[str, Any]]

    def table(self) -> pa.Table:
        """The slides, one row each."""
        return pa.Table.from_pylist(self.rows, schema=SLIDE_SCHEMA)


def tile(
    inputs: str | Path | Sequence[str | Path],
    options: TileOptions | None = None,
    report: Reporter = silent,
    **changes: Any,
) -> TileResult:
    """Plan the tiles of every slide in `inputs` and write tables and pictures to the folder `options.out`.

    Args:
        inputs: Folders, files, glob patterns or manifests.
        options: Defaults to the bundled model's scale, with tissue found by Otsu's threshold.
        report: Called with progress, notes and warnings (`core.events`).
        changes: Options by name that override `options`, as in `tile("slides", overlap=0.5)`.

    Returns:
        Counts, and one row per slide. Slides that could not be planned do not raise; `failed` counts them.

    Raises:
        InputError: There are no slides.
        ModelError: The model does not exist.
        OutputError: The folder is not empty and `overwrite` is off, or it cannot be written.
    """
    options = chosen(TileOptions, options, changes)
    names = input_names(inputs)
    cut = resolve_cut(options, report)
    _check_folder(options.out, options.overwrite)
    slides = _find(names, options, report)
    tiles_file, slides_file = options.out / TILES_FILE, options.out / SLIDES_FILE
    rows: list[dict[str, Any]] = []
    report(StageStarted(STAGE, len(slides), "slides"))
    try:
        with (
            atomic_write(tiles_file) as temporary,
            pq.ParquetWriter(temporary, TILE_SCHEMA, compression="zstd") as writer,
        ):
            for slide in slides:
                interruption.check(
                    f"{len(rows):,} of {len(slides):,} slides were planned, and no table was written",
                    fix="run the same command with --overwrite to start over",
                )
                rows.append(_plan_one(slide, cut, options, writer, report))
                report(StageAdvanced(STAGE, 1, int(rows[-1]["status"] == "failed")))
        with atomic_write(slides_file) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, schema=SLIDE_SCHEMA), temporary, compression="zstd")
    except OSError as error:
        raise output_error(options.out, error) from error
    report(StageFinished(STAGE))
    failed = sum(row["status"] == "failed" for row in rows)
    tiles = sum(row.get("tiles") or 0 for row in rows)
    return TileResult(options.out, tiles_file, slides_file, len(rows), failed, tiles, rows)


def resolve_cut(options: TileOptions, report: Reporter = silent) -> Cut:
    """Size and scale of tiles: from the options, otherwise from the model card."""
    policy = read_card(find_model(options.model)).input
    mpp = options.tile_mpp
    if mpp is None:
        target = target_mpp(policy)
        mpp = target.mpp
        if target.remark:
            report(Note(f"{target.remark}; override it with --tile-mpp"))
    side = options.tile_size_px
    width_px, height_px = (side, side) if side else policy.tile_px or (policy.width_px, policy.height_px)
    return Cut(width_px, height_px, mpp)


def _find(names: list[str], options: TileOptions, report: Reporter) -> list[FoundFile]:
    slides = find_slides(
        names,
        base=resolve_base(names),
        kind=options.kind,
        exclude=[options.out],
        on_problem=lambda message: report(Warn(message)),
    )
    if not slides:
        raise InputError(
            f"no slide was found under {', '.join(names[:3])}",
            fix="name SVS, NDPI, MRXS, SCN, BIF, DICOM or pyramidal TIFF files; with --kind slide any TIFF is a slide",
        )
    return slides


def _plan_one(
    file: FoundFile, cut: Cut, options: TileOptions, writer: pq.ParquetWriter, report: Reporter
) -> dict[str, Any]:
    """Write the pictures and tile rows of one slide; returns its row in the slide table."""
    try:
        if file.problem is not None:
            raise UnreadableSlide(file.problem)
        with closing(open_slide(file.location)) as slide:
            plan = plan_slide(slide, cut, options)
            _write_pictures(file.path, plan, options.out)
            failures = _write_images(file.path, slide, plan, options.out) if options.images else None
    except (UnreadableSlide, MemoryError) as error:
        no_memory = Failure("tile", "MemoryError", "not enough memory for its thumbnail")
        failure = error.failure if isinstance(error, UnreadableSlide) else no_memory
        report(Warn(f"{file.path} failed: {failure}"))
        return {"path": file.path, "status": "failed", "error": str(failure)}
    for message in plan.warnings():
        report(Warn(f"{file.path}: {message}"))
    if failures:
        report(Warn(f"{file.path}: {len(failures):,} tiles cannot be read, the first: {next(iter(failures.values()))}"))
    if len(plan.tiles):
        columns = {"slide": file.path, **plan.tile_columns()}
        writer.write_batch(row_batch(columns, len(plan.tiles), TILE_SCHEMA))
    return {
        "path": file.path,
        "status": "ok",
        "error": "",
        **plan.facts(),
        "failed_tiles": None if failures is None else len(failures),
    }


def _write_pictures(name: str, plan: SlidePlan, out: Path) -> None:
    """Write `<name>.tissue.png`, white where there is tissue, and `<name>.preview.png`."""
    write_png(plan.tissue.mask.astype(np.uint8) * 255, side_path(out, real_path(name), ".tissue.png"))
    thumbnail = plan.thumbnail.pixels
    preview = draw_tile_preview(thumbnail, plan.tissue.mask, plan.tissue.pen, tile_boxes(plan), _caption(name, plan))
    write_png(preview, side_path(out, real_path(name), ".preview.png"))


def _write_images(name: str, slide: Slide, plan: SlidePlan, out: Path) -> dict[tuple[int, int], Failure]:
    """Write the tiles as `<name>.tiles/x<x>_y<y>.png`; returns, by (x, y), why some cannot be read.

    Images of an earlier plan are removed first.
    """
    folder = side_path(out, real_path(name), ".tiles")
    with suppress(FileNotFoundError):
        for old in folder.glob("x*_y*.png"):
            old.unlink()
    failures: dict[tuple[int, int], Failure] = {}
    tiles = plan.tiles
    for first in range(0, len(tiles), _TILES_AT_ONCE):
        interruption.check("no table was written", fix="run the same command with --overwrite to start over")
        x, y = tiles.x[first : first + _TILES_AT_ONCE], tiles.y[first : first + _TILES_AT_ONCE]
        read = read_tiles(slide, x, y, tiles.size)
        for i, (left, top) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
            if i in read.failures:
                failures[left, top] = read.failures[i]
            else:
                write_png(read.pixels[i], folder / f"x{left:07d}_y{top:07d}.png")
    return failures


def _caption(name: str, plan: SlidePlan) -> list[str]:
    size, tissue, tiles = plan.tiles.size, plan.tissue, plan.tiles
    wide, high = (side * plan.resolution.mpp for side in (size.width_px, size.height_px))
    found = f"tissue {tissue.area_mm2:,.2f} mm² ({show_percent(100 * float(tissue.mask.mean()))})"
    if tissue.pen.any():
        found += f", pen {show_percent(100 * float(tissue.pen.mean()))}"
    lines = [
        os.path.basename(name),
        f"{len(tiles):,} tiles of {tiles.grid[0] * tiles.grid[1]:,}; {found}",
        f"{size.width_px} x {size.height_px} px each, {wide:.0f} x {high:.0f} µm, at {plan.target_mpp:.3g} µm/px",
        f"{plan.levels[0].width_px:,} x {plan.levels[0].height_px:,} px, {plan.resolution.mpp:.4g} µm/px "
        f"{_SOURCES[plan.resolution.source]}",
    ]
    return lines + ([f"flags: {', '.join(plan.flags)}"] if plan.flags else [])


def _check_folder(out: Path, overwrite: bool) -> None:
    """Make the folder, or refuse one that has output, unless it may be replaced; remove older tables."""
    check_output_folder(out, overwrite=overwrite)
    try:
        for name in (TILES_FILE, SLIDES_FILE):
            with suppress(FileNotFoundError):
                (out / name).unlink()
        mark_output(out)
    except OSError as error:
        raise output_error(out, error) from error
