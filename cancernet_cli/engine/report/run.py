"""One self-contained HTML page from a predictions table: counts, pictures, metrics, run and model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, Warn, silent
from cancernet_cli.core.figures import counted
from cancernet_cli.core.files import write_bytes
from cancernet_cli.core.machine.system import available_cores
from cancernet_cli.core.options import EvaluateOptions, ReportOptions
from cancernet_cli.core.options.base import chosen
from cancernet_cli.core.records import Kind
from cancernet_cli.core.results import Result, read_table
from cancernet_cli.core.text import one_line
from cancernet_cli.engine.evaluate.page import measured_sections, origin_sections
from cancernet_cli.engine.evaluate.run import measure
from cancernet_cli.engine.evaluate.source import Source, read_source
from cancernet_cli.engine.report.overview import Overview, overview, read_rows
from cancernet_cli.engine.report.pictures import located, read_pictures, side_files, sink_folders, within
from cancernet_cli.engine.report.sections import gallery_section, picture_files, summary_section
from cancernet_cli.engine.report.thumbnails import PictureTask, RowPictures
from cancernet_cli.outputs.pictures.class_colours import class_colours
from cancernet_cli.outputs.report.content import Page, Section
from cancernet_cli.outputs.report.figures import figure_notes, figure_warnings
from cancernet_cli.outputs.report.page import embedded_bytes, render

_MOST_TILES = 200_000  # of one slide, for its heat map


@dataclass(frozen=True)
class ReportResult(Result):
    """A finished report.

    Attributes:
        out: The page.
        size_bytes: Its size.
        rows: Rows of the table.
        shown: Rows on the page.
        pictures: Rows with a picture.
        missing: Rows whose picture could not be made.
        table_file: The table.
    """

    out: Path
    size_bytes: int
    rows: int
    shown: int
    pictures: int
    missing: int
    table_file: Path

    def table(self) -> pa.Table:
        """The predictions, one row per file."""
        return read_table(self.table_file)


def report(
    table: str | Path, options: ReportOptions | None = None, report: Reporter = silent, **changes: Any
) -> ReportResult:
    """Write a predictions table as one HTML page that loads nothing from elsewhere.

    Counts and metrics are over all rows. Rows and pictures are a sample if there are many, the same for the same table
    and options; the page states which rows it shows.

    Args:
        table: A table written by `classify` or `finetune`.
        options: Defaults to `<table>.report.html` with at most 300 pictures and 25 MB.
        report: Called with progress, notes and warnings (`core.events`).
        changes: Options by name that override `options`, as in `report("preds.parquet", pictures=100)`.

    Returns:
        The page and what it shows.

    Raises:
        InputError: The table was not written by CancerNet.
        OutputError: The page cannot be written.
    """
    options, table = chosen(ReportOptions, options, changes), Path(table)
    source = read_source(table)
    out = options.out or table.with_name(f"{table.stem}.report.html")
    if options.images is not None and not options.images.is_dir():
        raise InputError(f"{options.images} is not a folder", fix="name the folder that the table's paths start in")
    found = overview(source, options.rows, options.seed, report)
    rows = read_rows(table, list(found.sample))
    measured, warnings, notes = _figures(found, source, options)
    page = Page(
        title=f"Report on {table.name}",
        subtitle=f"{counted(found.rows, 'file')}, classified by {source.model or 'an unknown model'}",
        sections=[summary_section(found, source), *measured, *origin_sections(source)],
        warnings=warnings,
        notes=notes,
        colors=class_colours(source.classes, source.positive),
        footer=f"From {table.name}.",
    )
    budget = int(options.max_mb * 1e6) - len(render(_with_gallery(page, found, rows, [], source)))
    pictures, omitted = within(_pictures(found, rows, source, options, report), budget, embedded_bytes)
    if omitted:
        report(Warn(f"{counted(omitted, 'picture')} omitted to stay below --max-mb {options.max_mb:g}"))
    content = render(_with_gallery(page, found, rows, pictures, source))
    write_bytes(out, content)
    seen = sum(1 for one in pictures if one.layers)
    missing = sum(1 for one in pictures if one.missing) - omitted
    return ReportResult(out, len(content), found.rows, len(rows), seen, missing, table)


def _with_gallery(
    page: Page, found: Overview, rows: Mapping[int, Any], pictures: Sequence[RowPictures], source: Source
) -> Page:
    gallery = gallery_section(found, rows, pictures, source)
    return replace(page, sections=[page.sections[0], gallery, *page.sections[1:]], pictures=picture_files(pictures))


def _figures(found: Overview, source: Source, options: ReportOptions) -> tuple[list[Section], list[str], list[str]]:
    """The sections with metrics, warnings and notes; empty without labels."""
    if not any(found.truths[name] for name in source.classes):
        return [], [], [*map(one_line, source.remarks)] if found.labelled else []
    wanted = EvaluateOptions(kind=options.kind, resamples=options.resamples)
    metrics, scores = measure(source, wanted)
    return measured_sections(metrics, scores), figure_warnings(metrics), figure_notes(metrics)


def _pictures(
    found: Overview, rows: Mapping[int, Mapping[str, Any]], source: Source, options: ReportOptions, reporter: Reporter
) -> Any:
    """The pictures of rows that have a prediction, in the order of the sample."""
    base, folders = options.images or source.base, sink_folders(source.record, source.table)
    chosen = [n for n in found.sample if rows[n].get("path") and rows[n].get("status") != "failed"][: options.pictures]
    tasks = [_task(n, rows[n], base, folders, source) for n in chosen]
    reporter(StageStarted("pictures", len(tasks), "pictures"))
    workers = available_cores() if options.workers == "auto" else options.workers
    workers = min(workers, max(1, len(tasks)))
    for one in read_pictures(tasks, workers=workers, timeout_s=options.file_timeout):
        reporter(StageAdvanced("pictures", 1, failed=int(bool(one.missing))))
        yield one
    reporter(StageFinished("pictures"))


def _task(number: int, row: Mapping[str, Any], base: Path, folders: Mapping[str, Path], source: Source) -> PictureTask:
    kind: Kind = "slide" if row.get("kind") == "slide" else "image"
    path = str(row["path"])
    tiles = _tiles(source, path, row) if kind == "slide" else None
    return PictureTask(number, kind, located(base, path), side_files(folders, path, kind), tiles)


def _tiles(source: Source, slide: str, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The slide's rows of the tile table next to the predictions; None if there are none, or too many."""
    file = source.table.with_name(f"{source.table.stem}.tiles.parquet")
    if not file.is_file():
        return None
    rows = pq.read_table(file, filters=[("slide", "=", slide)])
    if not 0 < len(rows) <= _MOST_TILES:
        return None
    classes, size = list(source.classes), rows.select(["width_px", "height_px"]).slice(0, 1).to_pylist()[0]
    nan = float("nan")
    columns = [rows[f"prob_{name}"].to_pylist() for name in classes]
    return {
        "slide": slide,
        "x": rows["x"].to_pylist(),
        "y": rows["y"].to_pylist(),
        "probs": [[nan if p is None else p for p in each] for each in zip(*columns, strict=True)],
        "labels": rows["label"].to_pylist(),
        "classes": classes,
        "positive": source.positive,
        "threshold": row.get("decision_threshold") if source.positive else None,
        "mpp": row.get("mpp") or 1.0,
        "width_px": size["width_px"],
        "height_px": size["height_px"],
    }
