"""Small pictures of the rows of a page, made in workers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cancernet_cli.core import interruption
from cancernet_cli.core.files import real_path
from cancernet_cli.core.records import Kind
from cancernet_cli.data.loading.limits import SLIDE_TIMES, FileLimits
from cancernet_cli.data.loading.workers import WorkerLost, start_workers
from cancernet_cli.data.readers.base import UnreadableImage
from cancernet_cli.data.readers.read import read_image
from cancernet_cli.data.slides.base import UnreadableSlide
from cancernet_cli.engine.report.thumbnails import (
    LONG_SIDE_PX,
    PictureTask,
    RowPictures,
    jpeg,
    mask_contours,
    shrunk,
)
from cancernet_cli.outputs.side_files import side_path
from cancernet_cli.outputs.sink import sinks

_MOST_PIXELS = 200_000_000
_LAYERS = {"overlays": "overlay", "heatmaps": "heatmap"}
_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class _Reader:
    """The work of a worker: one row's pictures."""

    def __init__(self, timeout_s: float) -> None:
        self._limits = FileLimits(timeout_s, _MOST_PIXELS)

    def __getitem__(self, task: PictureTask) -> RowPictures:
        found = RowPictures(task.number)
        self._limits.begin(0, times=SLIDE_TIMES if task.kind == "slide" else 1)
        try:
            if task.kind == "slide":
                from cancernet_cli.engine.report.slide_pictures import add_slide  # OpenSlide and scikit-image

                add_slide(found, task)
            else:
                pixels = shrunk(read_image(task.location, max_pixels=_MOST_PIXELS))
                found.box = pixels.shape[1], pixels.shape[0]
                found.layers["image"] = jpeg(pixels)
        except (UnreadableImage, UnreadableSlide) as error:
            found.missing = _why(error)
        for name, path in task.side_files.items():
            _add_side_file(found, name, path)
        return found


def _why(error: UnreadableImage | UnreadableSlide) -> str:
    if error.failure.error in ("FileNotFoundError", "NotADirectoryError"):
        return "the file was not found; --images names the folder that it is in"
    return str(error.failure)


def read_pictures(tasks: Sequence[PictureTask], *, workers: int, timeout_s: float) -> Iterator[RowPictures]:
    """The pictures of each row, in order; a file that crashes its reader or takes too long is missing."""
    loader = start_workers(_Reader(timeout_s), tasks, workers)
    try:
        while True:
            interruption.check()
            try:
                yield next(loader)
            except StopIteration:
                return
            except WorkerLost as lost:
                yield RowPictures(lost.item.number, missing=str(lost.failure))
    finally:
        loader.close()


def side_files(folders: Mapping[str, Path], path: str, kind: Kind) -> dict[str, Path]:
    """Pictures that `classify` wrote for a file into the folders of its sinks, if they exist.

    Args:
        folders: by the sink's name. path: as in the table.
    """
    found = {}
    for name, folder in folders.items():
        facts = sinks[name].facts
        if kind in facts["kinds"] and facts["suffix"].endswith(_PICTURE_SUFFIXES):
            file = side_path(folder, real_path(path), facts["suffix"])
            if file.is_file():
                found[name] = file
    return found


def sink_folders(record: Mapping[str, Any], table: Path) -> dict[str, Path]:
    """The folders in which a run's sinks wrote, by sink; searched next to the table if it was moved along with them."""
    outputs = record.get("outputs")
    found: dict[str, Path] = {}
    for name in sinks.names():
        given = outputs.get(name) if isinstance(outputs, dict) else None
        if not isinstance(given, str) or not given:
            continue
        for folder in (Path(given), table.parent / Path(given).name):
            with suppress(OSError):
                if folder.is_dir():
                    found[name] = folder
                    break
    return found


def located(base: Path, path: str) -> bytes:
    """Absolute path of a file of a table."""
    return os.path.join(os.fsencode(base.absolute()), real_path(path))


def _add_side_file(found: RowPictures, name: str, path: Path) -> None:
    """A sink's picture as a layer, or the contours of a mask; nothing if it cannot be read."""
    try:
        pixels = read_image(os.fsencode(path), max_pixels=_MOST_PIXELS)
    except UnreadableImage:
        return
    if name == "masks":
        if "image" in found.layers:
            found.contours = mask_contours(pixels[..., 0], found.box)
        return
    found.layers[_LAYERS.get(name, name)] = jpeg(
        shrunk(pixels, 2 * LONG_SIDE_PX if name == "heatmaps" else LONG_SIDE_PX)
    )


def within(pictures: Iterable[RowPictures], budget_bytes: int, size: Any) -> tuple[list[RowPictures], int]:
    """Rows' pictures until the next would exceed the budget, and how many were omitted.

    Args:
        size: gives the bytes that a picture adds to the page.
    """
    kept, omitted, used = [], 0, 0
    for one in pictures:
        parts = [*one.layers.values(), *(content for _, _, content in one.parts)]
        need = sum(map(size, parts)) + 5 * sum(map(len, one.contours))
        if parts and used + need > budget_bytes:
            omitted += 1
            kept.append(RowPictures(one.number, missing="omitted to limit the size of the page"))
            continue
        used += need
        kept.append(one)
    return kept, omitted
