"""The tiles of one slide as image files, read like any others and kept until the model is written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli import __version__
from cancernet_cli.core.arrays import I64
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.figures import show_percent
from cancernet_cli.core.files import write_bytes
from cancernet_cli.core.options import FinetuneOptions, TilingOptions
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.limits import SLIDE_TIMES, WHOLE, FileLimits, no_memory
from cancernet_cli.data.resolution import is_plausible_mpp
from cancernet_cli.data.slides import Slide, UnreadableSlide, open_slide
from cancernet_cli.data.splits.training_images import slide_hash
from cancernet_cli.data.tiles.annotations import annotated_share, read_annotations
from cancernet_cli.data.tiles.choice import even_shares, spread_tiles
from cancernet_cli.data.tiles.pixels import given_up, read_tiles
from cancernet_cli.data.tiles.slide_plan import Cut, SlidePlan, plan_slide
from cancernet_cli.data.tiles.tiling import TileSize
from cancernet_cli.outputs.pictures.files import write_png

INDEX_FILE = "tiles.json"
_AT_ONCE = 64
_ROUNDING = 1e-9  # of areas


@dataclass(frozen=True)
class SlideTiles:
    """The T training tiles of one slide, by y, then x.

    folder: where `tile_file` finds them. width_px, height_px: of a tile at level 0. x, y: corners at level 0. labels:
    of each tile. others: unused classes of annotated regions. warnings: one sentence each. failure: why the slide
    has no tiles; "" if it has any. picture: the slide's hash (`splits.training_images.slide_hash`), in hexadecimal.
    """

    folder: Path
    width_px: int = 0
    height_px: int = 0
    x: tuple[int, ...] = ()
    y: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    failure: str = ""
    picture: str = ""


@dataclass
class _Chosen:
    """Rows of a plan, and the label of each."""

    rows: I64
    labels: list[str]
    others: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)


def cut_slide(
    slide: FoundFile,
    annotations: Path | None,
    classes: Sequence[str],
    cut: Cut,
    options: FinetuneOptions,
    folder: Path,
) -> SlideTiles:
    """Choose a slide's tiles and write the missing ones as PNG.

    The same slide, annotations and options give the same tiles, each written atomically, in a separate subfolder of
    `folder`; a slide that was cut without a failure is not opened again. In a worker, the plan has a deadline, and
    so has every few tiles; a slide of which more than half of the tiles fail is given up.

    Args:
        annotations: a GeoJSON file: only tiles in its regions are used, with the region's class. None: every tile has
            the slide's label.

    Raises:
        InputError: the annotations are not valid GeoJSON, or their origin is ambiguous.
        OutputError: a tile cannot be written.
    """
    place = folder / _digest(slide, annotations, classes, cut, options)
    if (known := _finished(place)) is not None:
        return known
    tiling = replace(options, mpp=slide.truth.mpp) if is_plausible_mpp(slide.truth.mpp or 0.0) else options
    try:
        with closing(open_slide(slide.location)) as opened:
            return _cut_open(slide, opened, annotations, classes, cut, options, tiling, place)
    except UnreadableSlide as error:
        return SlideTiles(place, failure=str(error.failure))
    except MemoryError:
        return SlideTiles(place, failure=str(no_memory("tile", "its thumbnail")))


def tile_file(folder: Path, x: int, y: int) -> Path:
    """The image file of the tile at (x, y)."""
    return folder / f"x{x:07d}_y{y:07d}.png"


def _cut_open(
    slide: FoundFile,
    opened: Slide,
    annotations: Path | None,
    classes: Sequence[str],
    cut: Cut,
    options: FinetuneOptions,
    tiling: TilingOptions,
    place: Path,
) -> SlideTiles:
    plan = plan_slide(opened, cut, tiling)
    rng = np.random.default_rng([options.seed, *os.fsencode(slide.path)])
    if annotations is None:
        rows = spread_tiles(plan.tiles.x, plan.tiles.y, options.tiles_per_slide, rng)
        chosen = _Chosen(rows, [str(slide.truth.label)] * len(rows))
    else:
        origin = _origin(slide, opened, options)
        chosen = _annotated(plan, annotations, classes, origin, options, rng)
    warnings = [*plan.warnings(), *chosen.warnings]
    if not len(chosen.rows):
        why = "no tile was found" if annotations is None else f"no tile has a label from {annotations.name}"
        return SlideTiles(place, others=chosen.others, warnings=tuple(warnings), failure=why)
    x, y = plan.tiles.x[chosen.rows], plan.tiles.y[chosen.rows]
    corners = list(zip(x.tolist(), y.tolist(), strict=True))
    failures = _write(opened, corners, plan.tiles.size, place, options)
    if (reason := given_up(list(failures.values()), len(corners))) is not None:
        return SlideTiles(place, others=chosen.others, warnings=tuple(warnings), failure=str(reason))
    if failures:
        (left, top), first = next(iter(failures.items()))
        warnings.append(f"{len(failures)} of {len(x)} tiles are omitted; the first, at ({left}, {top}): {first}")
    good = [i for i, corner in enumerate(corners) if corner not in failures]
    found = SlideTiles(
        place,
        plan.tiles.size.width_px,
        plan.tiles.size.height_px,
        tuple(x[good].tolist()),
        tuple(y[good].tolist()),
        tuple(chosen.labels[i] for i in good),
        chosen.others,
        tuple(warnings),
        "" if good else "none of its tiles can be read",
        slide_hash(plan.thumbnail.pixels).hex(),
    )
    if not failures:  # unreadable tiles are tried again next time
        facts = {name: value for name, value in asdict(found).items() if name != "folder"}
        write_bytes(place / INDEX_FILE, json.dumps(facts).encode())
    return found


def _origin(slide: FoundFile, opened: Slide, options: FinetuneOptions) -> tuple[int, int]:
    """The point at level 0 that is (0, 0) for annotations.

    Raises:
        InputError: viewers disagree on it, and the user has not chosen.
    """
    if options.annotation_origin == "auto" and opened.scan_origin != (0, 0):
        x, y = opened.scan_origin
        raise InputError(
            f"{slide.path} has annotations, and its scanned part starts at ({x}, {y}): their origin is ambiguous",
            fix="pass --annotation-origin scan for annotations exported from QuPath, or --annotation-origin slide for "
            "OpenSlide's coordinates (QuPath with --no-crop)",
        )
    return opened.scan_origin if options.annotation_origin == "scan" else (0, 0)


def _annotated(
    plan: SlidePlan,
    file: Path,
    classes: Sequence[str],
    origin: tuple[int, int],
    options: FinetuneOptions,
    rng: np.random.Generator,
) -> _Chosen:
    """The tiles in regions of exactly one class; if there are too many, equally many of each class."""
    annotations = read_annotations(file, classes)
    tiles, warnings = plan.tiles, []
    if annotations.without_area:
        warnings.append(f"{annotations.without_area} points and lines in {file.name} are omitted: they have no area")
    least = options.min_annotated - _ROUNDING
    inside = {
        name: annotated_share(region, tiles.x - origin[0], tiles.y - origin[1], tiles.size) >= least
        for name, region in annotations.regions.items()
    }
    claims = np.sum(list(inside.values()), axis=0) if inside else np.zeros(len(tiles), np.int64)
    if (ambiguous := int((claims > 1).sum())) > 0:
        warnings.append(f"{ambiguous} tiles are in regions of several classes of {file.name} and are omitted")
    candidates = {name: np.flatnonzero(here & (claims == 1)) for name, here in inside.items()}
    warnings.extend(
        f"no tile with tissue has {show_percent(100 * options.min_annotated)} or more of its area in regions "
        f"{name!r} (lower --min-annotated, or raise --overlap for more tiles)"
        for name, rows in candidates.items()
        if not len(rows)
    )
    shares = even_shares([len(rows) for rows in candidates.values()], options.tiles_per_slide)
    labelled: dict[int, str] = {}
    for (name, rows), share in zip(candidates.items(), shares, strict=True):
        kept = rows[spread_tiles(tiles.x[rows], tiles.y[rows], share, rng)] if share else rows[:0]
        labelled |= dict.fromkeys(kept.tolist(), name)
    rows = np.array(sorted(labelled), dtype=np.int64)
    return _Chosen(rows, [labelled[row] for row in rows.tolist()], annotations.others, warnings)


def _write(
    slide: Slide, corners: Sequence[tuple[int, int]], size: TileSize, folder: Path, options: FinetuneOptions
) -> dict[tuple[int, int], Failure]:
    """Write the missing tiles; returns by (x, y) why some cannot be read, up to where the slide is given up."""
    missing = [corner for corner in corners if not _is_there(folder, *corner)]
    failures: dict[tuple[int, int], Failure] = {}
    limits = FileLimits(options.file_timeout, options.max_pixels)
    for first in range(0, len(missing), _AT_ONCE):
        if given_up(list(failures.values()), len(corners)):
            break
        limits.begin(WHOLE, times=SLIDE_TIMES)
        some = missing[first : first + _AT_ONCE]
        x, y = np.array(some, np.int64).T
        read = read_tiles(slide, x, y, size)
        for place, corner in enumerate(some):
            if place in read.failures:
                failures[corner] = read.failures[place]
            else:
                write_png(read.pixels[place], tile_file(folder, *corner))
    return failures


def _is_there(folder: Path, x: int, y: int) -> bool:
    """Whether a tile is written; a power cut may leave an empty file."""
    try:
        return tile_file(folder, x, y).stat().st_size > 0
    except OSError:
        return False


def _finished(place: Path) -> SlideTiles | None:
    """The tiles that an earlier run wrote, if they are complete."""
    try:
        facts: dict[str, Any] = json.loads((place / INDEX_FILE).read_bytes())
        lists = {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
        found = SlideTiles(folder=place, **(facts | lists))
    except (OSError, ValueError, TypeError):
        return None
    return found if all(_is_there(place, *corner) for corner in zip(found.x, found.y, strict=True)) else None


def _digest(
    slide: FoundFile, annotations: Path | None, classes: Sequence[str], cut: Cut, options: FinetuneOptions
) -> str:
    """A digest of everything that determines a slide's tiles and their labels."""
    regions = None
    if annotations is not None:
        status = annotations.stat()
        regions = [str(annotations), status.st_size, status.st_mtime_ns, list(classes)]
        regions += [options.min_annotated, options.annotation_origin]
    facts = {
        "version": __version__,
        "slide": [slide.path, os.fsdecode(slide.location), slide.size_bytes, slide.mtime_ns, slide.truth.mpp],
        "label": regions or slide.truth.label,
        "cut": asdict(cut),
        "tiling": [options.mpp, options.tissue, options.min_tissue, options.overlap],
        "chosen": [options.tiles_per_slide, options.seed],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
