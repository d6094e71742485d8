"""Plan the tiles of slides, to check tissue detection and tiling before hours of computing. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.core import interruption
from cancernet_cli.core.cards import read_card
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Note, Reporter, StageAdvanced, StageFinished, StageStarted, Warn, silent
from cancernet_cli.core.figures import counted
from cancernet_cli.core.files import (
    atomic_write,
    check_output_folder,
    mark_output,
    output_error,
    real_path,
    write_bytes,
)
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import TileOptions
from cancernet_cli.core.options.base import chosen, input_names
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.core.results import Result
from cancernet_cli.data.discovery.discover import find_slides
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.data.loading.each import in_workers
from cancernet_cli.data.loading.limits import FileLimits
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.data.tiles.pixels import given_up
from cancernet_cli.data.tiles.slide_plan import Cut, SlidePlan
from cancernet_cli.data.tiles.target_mpp import target_mpp
from cancernet_cli.engine.tile_work import TILES_AT_ONCE, Planner, TileEncoder, TileSpan
from cancernet_cli.outputs.side_files import side_path
from cancernet_cli.outputs.tables.predictions import row_batch
from cancernet_cli.outputs.tables.tile_table import SLIDE_SCHEMA, TILE_SCHEMA

STAGE = "tile"
TILES_FILE, SLIDES_FILE = "tiles.parquet", "slides.parquet"


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
            planner = Planner(cut, options)
            limits = FileLimits(options.file_timeout)
            plans = in_workers(planner, slides, limits, workers=1, are_slides=True, meanwhile=_check)
            for slide, planned in zip(slides, plans, strict=True):
                rows.append(_write_one(slide, planned, options, writer, report))
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
        timeout_s=options.file_timeout,
    )
    if not slides:
        raise InputError(
            f"no slide was found under {', '.join(names[:3])}",
            fix="name SVS, NDPI, MRXS, SCN, BIF, DICOM or pyramidal TIFF files; with --kind slide any TIFF is a slide",
        )
    return slides


def _write_one(
    file: FoundFile,
    planned: tuple[SlidePlan, dict[str, bytes]] | Failure,
    options: TileOptions,
    writer: pq.ParquetWriter,
    report: Reporter,
) -> dict[str, Any]:
    """Write the pictures and tile rows of one slide; returns its row in the slide table."""
    failures: list[Failure] | None = None
    why = planned if isinstance(planned, Failure) else None
    if not isinstance(planned, Failure):
        plan, pictures = planned
        for suffix, content in pictures.items():
            write_bytes(side_path(options.out, real_path(file.path), suffix), content, durable=False)
        if options.images:
            failures = _write_images(file, plan, options)
            why = given_up(failures, len(plan.tiles))
    if why is not None:
        report(Warn(f"{file.path} failed: {why}"))
        return {"path": file.path, "status": "failed", "error": str(why)}
    for message in plan.warnings():
        report(Warn(f"{file.path}: {message}"))
    if failures:
        report(Warn(f"{file.path}: {counted(len(failures), 'tile')} cannot be read, the first: {failures[0]}"))
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


def _write_images(file: FoundFile, plan: SlidePlan, options: TileOptions) -> list[Failure]:
    """Write the tiles as `<name>.tiles/x<x>_y<y>.png`; returns why some cannot be read.

    Images of an earlier plan are removed first, and all of them where the slide is given up.
    """
    folder = side_path(options.out, real_path(file.path), ".tiles")
    _remove_images(folder)
    failures: list[Failure] = []
    tiles = plan.tiles
    cuts = [slice(first, first + TILES_AT_ONCE) for first in range(0, len(tiles), TILES_AT_ONCE)]
    spans = [TileSpan(file.location, tiles.size, tiles.x[cut], tiles.y[cut]) for cut in cuts]
    encoder = TileEncoder(FileLimits(options.file_timeout))
    with closing(load_batches(spans, encoder, workers=1, meanwhile=_check)) as encoded:
        for span, some in zip(spans, encoded, strict=False):
            for left, top, tile in zip(span.x.tolist(), span.y.tolist(), some, strict=True):
                if isinstance(tile, Failure):
                    failures.append(tile)
                else:
                    write_bytes(folder / f"x{left:07d}_y{top:07d}.png", tile, durable=False)
            if given_up(failures, len(tiles)):
                _remove_images(folder)
                break
    return failures


def _remove_images(folder: Path) -> None:
    with suppress(FileNotFoundError):
        for old in folder.glob("x*_y*.png"):
            old.unlink()


def _check() -> None:
    interruption.check("no table was written", fix="run the same command with --overwrite to start over")


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
