"""Find the annotation file of each slide."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import display_path
from cancernet_cli.data.discovery.entries import absolute
from cancernet_cli.data.discovery.tables import TextTable

ENDING = b".geojson"


def find_annotations(slides: Sequence[bytes], lists: Sequence[Path], base: Path) -> dict[bytes, Path]:
    """The GeoJSON file of each slide that has one.

    It is named in a list's `annotations` column, relative to the list's folder; for a slide in no such list, it is the
    file next to the slide, `a.geojson` or `a.svs.geojson` for `a.svs`.

    Args:
        slides: absolute paths.
        base: folder for paths that match no slide relative to their list's folder.

    Raises:
        InputError: a list names a file that does not exist.
    """
    wanted = set(slides)
    listed: dict[bytes, Path | None] = {}
    for table in (TextTable(file, ("path", "annotations")) for file in lists):
        if "annotations" not in table.columns or "path" not in table.columns:
            continue
        folder = os.path.dirname(absolute(os.fsencode(table.file)))
        for line, row in table:
            name = table.real_name(row["path"] or "")
            slide = next((s for s in (absolute(name, folder), absolute(name, os.fsencode(base))) if s in wanted), None)
            if slide is None:
                continue
            given = row["annotations"]
            file = None if given is None else absolute(table.real_name(given), folder)
            if file is not None and not os.path.isfile(file):
                raise InputError(
                    f"{table.where(line)}, column 'annotations': {display_path(file)} does not exist",
                    fix="correct the path, or leave it empty for slides without annotations",
                )
            listed[slide] = None if file is None else Path(os.fsdecode(file))
    found = {slide: listed[slide] if slide in listed else _next_to(slide) for slide in slides}
    return {slide: file for slide, file in found.items() if file is not None}


def _next_to(slide: bytes) -> Path | None:
    names = os.path.splitext(slide)[0] + ENDING, slide + ENDING
    return next((Path(os.fsdecode(name)) for name in names if os.path.isfile(name)), None)
