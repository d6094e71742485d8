"""Plan the tiles of slides, for a look before hours of computing: where tissue is, which tiles cover it. No torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from cancernet_cli.core import interruption
from cancernet_cli.core.cards import read_card
from cancernet_cli.core.errors import InputError, OutputError
from cancernet_cli.core.events import Note, Reporter, StageAdvanced, StageFinished, StageStarted, Warn, silent
from cancernet_cli.core.files import atomic_write, output_error
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import TileOptions
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.discovery.find_slides import find_slides
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.data.slides import UnreadableSlide, open_slide
from cancernet_cli.data.tiles.slide_plan import Cut, plan_slide
from cancernet_cli.data.tiles.target_mpp import target_mpp
from cancernet_cli.engine.tile_files import write_images, write_pictures
from cancernet_cli.outputs.tables.tile_table import TILE_SCHEMA, slide_table, tile_batch

STAGE = "tile"
TILES_FILE, SLIDES_FILE = "tiles.parquet", "slides.parquet"


@dataclass(frozen=True)
class TileResult:
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
    options = replace(options or TileOptions(), **changes)
    names = [os.fspath(name) for name in ([inputs] if isinstance(inputs, (str, Path)) else inputs)]
    cut = resolve_cut(options, report)
    _check_folder(options.out, options.overwrite)
    slides = _found(names, options, report)
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
                    fix="give the same command with --overwrite to begin again",
                )
                rows.append(_one(slide, cut, options, writer, report))
                report(StageAdvanced(STAGE, 1, int(rows[-1]["status"] == "failed")))
        with atomic_write(slides_file) as temporary:
            pq.write_table(slide_table(rows), temporary, compression="zstd")
    except OSError as error:
        raise output_error(options.out, error) from error
    report(StageFinished(STAGE))
    failed = sum(row["status"] == "failed" for row in rows)
    tiles = sum(row.get("tiles") or 0 for row in rows)
    return TileResult(options.out, tiles_file, slides_file, len(rows), failed, tiles, rows)


def resolve_cut(options: TileOptions, report: Reporter = silent) -> Cut:
    """The size and scale of tiles: those of the options, else those of the model's card."""
    policy = read_card(find_model(options.model)).input
    mpp = options.tile_mpp
    if mpp is None:
        target = target_mpp(policy)
        mpp = target.mpp
        if target.remark:
            report(Note(f"{target.remark}; --tile-mpp gives another"))
    side = options.tile_size_px
    return Cut(side or policy.width_px, side or policy.height_px, mpp)


def _found(names: list[str], options: TileOptions, report: Reporter) -> list[FoundFile]:
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
            fix="name SVS, NDPI, MRXS, SCN, BIF, DICOM or pyramidal TIFF files; --kind slide takes any TIFF for one",
        )
    return slides


def _one(file: FoundFile, cut: Cut, options: TileOptions, writer: pq.ParquetWriter, report: Reporter) -> dict[str, Any]:
    """One slide's pictures and tile rows; gives its row."""
    try:
        if file.problem is not None:
            raise UnreadableSlide(file.problem)
        with closing(open_slide(file.location)) as slide:
            plan = plan_slide(slide, cut, options)
            write_pictures(file.path, plan, options.out)
            failures = write_images(file.path, slide, plan, options.out) if options.images else None
    except UnreadableSlide as error:
        report(Warn(f"{file.path} failed: {error.failure}"))
        return {"path": file.path, "status": "failed", "error": str(error.failure)}
    except MemoryError:
        failure = Failure("tile", "MemoryError", "not enough memory for its thumbnail")
        report(Warn(f"{file.path} failed: {failure}"))
        return {"path": file.path, "status": "failed", "error": str(failure)}
    for words in plan.warnings():
        report(Warn(f"{file.path}: {words}"))
    if failures:
        report(Warn(f"{file.path}: {len(failures):,} tiles cannot be read, the first: {next(iter(failures.values()))}"))
    if len(plan.tiles):
        columns = plan.tile_columns()
        writer.write_batch(tile_batch(file.path, len(plan.tiles), columns))
    return {
        "path": file.path,
        "status": "ok",
        "error": "",
        **plan.facts(),
        "failed_tiles": None if failures is None else len(failures),
    }


def _check_folder(out: Path, overwrite: bool) -> None:
    """Raise when the folder is a file, or holds something that must not be replaced; remove older tables."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file", fix="give --out the name of a folder")
    try:
        holds_something = out.is_dir() and any(out.iterdir())
        if holds_something and not overwrite:
            raise OutputError(
                f"{out} exists and is not empty", fix="choose another --out, or pass --overwrite to replace it"
            )
        for name in (TILES_FILE, SLIDES_FILE):
            with suppress(FileNotFoundError):
                (out / name).unlink()
    except OSError as error:
        raise output_error(out, error) from error
