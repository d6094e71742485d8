"""Slides of several files: which file is the slide, and which are only parts of it.

MRXS: `name.mrxs` with a folder `name` that holds Slidedat.ini and .dat files. Hamamatsu VMS and VMU: a text file that
names its JPEG parts. DICOM: all files of a folder with one series UID; the first by name stands for the slide.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache

from cancernet_cli.data.dicom import series_of

_INDEX_ENDINGS = (b".vms", b".vmu")
_MRXS_PARTS = (b".dat", b".ini")
_MAX_INDEX_BYTES = 1 << 20


def is_part(location: bytes) -> bool:
    """Whether the file at an absolute path belongs to a slide that another file stands for."""
    folder, name = os.path.split(location)
    lower = name.lower()
    if lower.endswith(_MRXS_PARTS):
        return any(os.path.exists(folder + ending) for ending in (b".mrxs", b".MRXS"))
    if lower.endswith((b".jpg", b".jpeg", b".opt")):
        return name in _companions(folder).named
    return lower.endswith(b".dcm") and name in _companions(folder).dicom


def missing_companion(location: bytes) -> str:
    """What a multi-file slide lacks, in words; "" where nothing."""
    stem, ending = os.path.splitext(location)
    if ending.lower() == b".mrxs" and not os.path.isfile(os.path.join(stem, b"Slidedat.ini")):
        return f"the folder {os.fsdecode(os.path.basename(stem))!r} with its Slidedat.ini is not beside it"
    if ending.lower() in _INDEX_ENDINGS:
        folder = os.path.dirname(location)
        gone = [part for part in sorted(_named_in(location)) if not os.path.isfile(os.path.join(folder, part))]
        if gone:
            return f"it names {os.fsdecode(gone[0])!r}, which is not beside it"
    return ""


@dataclass(frozen=True)
class _Companions:
    """Names in one folder that are parts: files that an index names, and DICOM files after the first of a series."""

    named: frozenset[bytes]
    dicom: frozenset[bytes]


def _companions(folder: bytes) -> _Companions:
    try:
        return _looked_at(folder, os.stat(folder).st_mtime_ns)
    except OSError:
        return _Companions(frozenset(), frozenset())


@lru_cache(maxsize=64)
def _looked_at(folder: bytes, mtime_ns: int) -> _Companions:
    """`mtime_ns` is there so that a folder whose files have changed is looked at again."""
    with os.scandir(folder) as entries:
        kept = (*_INDEX_ENDINGS, b".dcm")
        names = sorted(entry.name for entry in entries if entry.name.lower().endswith(kept))
    named: set[bytes] = set()
    dicom: set[bytes] = set()
    series: set[str] = set()
    for name in names:
        if name.lower().endswith(_INDEX_ENDINGS):
            named |= _named_in(os.path.join(folder, name))
            continue
        uid = series_of(os.fsdecode(os.path.join(folder, name)))
        if uid in series:
            dicom.add(name)
        if uid:
            series.add(uid)
    return _Companions(frozenset(named), frozenset(dicom))


def _named_in(index: bytes) -> set[bytes]:
    """The files that a VMS or VMU index names: `ImageFile=`, `ImageFile(1,0)=`, `MapFile=`, `MacroImage=`, ..."""
    try:
        with open(index, "rb") as file:
            lines = file.read(_MAX_INDEX_BYTES).splitlines()
    except OSError:
        return set()
    pairs = (line.partition(b"=") for line in lines)
    keys = (b"imagefile", b"mapfile", b"optimisationfile", b"macroimage")
    return {value.strip() for key, _, value in pairs if key.strip().lower().startswith(keys) and value.strip()}
