"""Multi-file slides: which file represents the slide, and which are only parts of it.

MRXS: `name.mrxs` and a folder `name` with Slidedat.ini and .dat files. Hamamatsu VMS and VMU: an index file that lists
JPEG files. DICOM: the files of one series in a folder; the first by name represents the slide.
"""

from __future__ import annotations

import os
from functools import lru_cache

from cancernet_cli.data.dicom import may_be_dicom, series_of

_INDEX_ENDINGS = (b".vms", b".vmu")
_MRXS_PARTS = (b".dat", b".ini")
_MAX_INDEX_BYTES = 1 << 20


def is_part(location: bytes) -> bool:
    """Whether the file at an absolute path is part of a slide that another file represents."""
    folder, name = os.path.split(location)
    lower = name.lower()
    if lower.endswith(_MRXS_PARTS):
        return any(os.path.exists(folder + ending) for ending in (b".mrxs", b".MRXS"))
    return (lower.endswith((b".jpg", b".jpeg", b".opt", b".dcm")) or may_be_dicom(name)) and name in _parts(folder)


def missing_companion(location: bytes) -> str:
    """The missing part of a multi-file slide, as a message; "" if it is complete."""
    stem, ending = os.path.splitext(location)
    if ending.lower() == b".mrxs" and not os.path.isfile(os.path.join(stem, b"Slidedat.ini")):
        return f"the folder {os.fsdecode(os.path.basename(stem))!r} with Slidedat.ini is missing next to it"
    if ending.lower() in _INDEX_ENDINGS:
        folder = os.path.dirname(location)
        missing = [part for part in sorted(_listed_in(location)) if not os.path.isfile(os.path.join(folder, part))]
        if missing:
            return f"it refers to {os.fsdecode(missing[0])!r}, which is missing"
    return ""


def _parts(folder: bytes) -> set[bytes]:
    """Names of the parts in one folder: files in an index, and DICOM files after the first of a series."""
    try:
        return _scan(folder, os.stat(folder).st_mtime_ns)
    except OSError:
        return set()


@lru_cache(maxsize=64)
def _scan(folder: bytes, mtime_ns: int) -> set[bytes]:
    """`mtime_ns` is part of the cache key, so that a folder is scanned again once its files have changed."""
    with os.scandir(folder) as entries:
        endings = (*_INDEX_ENDINGS, b".dcm")
        names = sorted(
            entry.name
            for entry in entries
            if entry.name.lower().endswith(endings) or (may_be_dicom(entry.name) and entry.is_file())
        )
    parts: set[bytes] = set()
    series: set[str] = set()
    for name in names:
        if name.lower().endswith(_INDEX_ENDINGS):
            parts |= _listed_in(os.path.join(folder, name))
            continue
        uid = series_of(os.fsdecode(os.path.join(folder, name)))
        if uid in series:
            parts.add(name)
        if uid:
            series.add(uid)
    return parts


def _listed_in(index: bytes) -> set[bytes]:
    """The files listed in a VMS or VMU index: `ImageFile=`, `ImageFile(1,0)=`, `MapFile=`, `MacroImage=`, ..."""
    try:
        with open(index, "rb") as file:
            lines = file.read(_MAX_INDEX_BYTES).splitlines()
    except OSError:
        return set()
    pairs = (line.partition(b"=") for line in lines)
    keys = (b"imagefile", b"mapfile", b"optimisationfile", b"macroimage")
    return {value.strip() for key, _, value in pairs if key.strip().lower().startswith(keys) and value.strip()}
