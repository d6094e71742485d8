"""Tell slides from images and parts of slides, by looking into files in a worker, which they may crash or keep busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from cancernet_cli.core.records import Failure, FoundFile, Kind
from cancernet_cli.data.discovery.endings import Endings
from cancernet_cli.data.loading.limits import FileLimits, no_memory
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.data.slide_parts import is_part, needs_index

Wanted = Literal["auto", "slide", "image"]
Look = Kind | Literal["part"] | Failure | None  # None: its content does not tell

_AT_ONCE = 256


def with_kinds(
    files: Iterable[FoundFile], wanted: Wanted, endings: Endings, timeout_s: float = FileLimits.timeout_s
) -> Iterator[FoundFile]:
    """The files with their kinds, without those that are parts of a slide which another file represents.

    A file that crashes the worker, or takes longer than `timeout_s`, has that as its `problem`.
    """
    asked: deque[list[bytes]] = deque()
    looks: Iterator[list[Look]] | None = None
    rest = iter(files)
    while chunk := list(islice(rest, _AT_ONCE)):
        kinds: list[Kind | None] = [_kind_by_name(file, wanted, endings) for file in chunk]
        doubtful = [i for i, file in enumerate(chunk) if kinds[i] is None or needs_index(file.location)]
        found: dict[int, Look] = {}
        if doubtful:
            asked.append([chunk[i].location for i in doubtful])
            if looks is None:
                looks = load_batches(iter(asked.popleft, None), _Looker(timeout_s), workers=0)
            found = dict(zip(doubtful, next(looks), strict=True))
        for i, file in enumerate(chunk):
            look = found.get(i)
            if look == "part" or (i not in found and is_part(file.location)):
                continue
            if isinstance(look, Failure):
                yield replace(file, kind=kinds[i] or _kind_by_ending(file, endings), problem=look)
                continue
            kind = kinds[i] or look or _kind_by_ending(file, endings)
            yield file if kind == file.kind else replace(file, kind=kind)  # a copy of every image would be slow


def _kind_by_name(file: FoundFile, wanted: Wanted, endings: Endings) -> Kind | None:
    """The kind as far as the name tells; None if the content must."""
    name = file.location.lower()
    if name.endswith(endings.image):
        return "image"
    if file.problem is not None or (wanted == "slide" and name.endswith(endings.either)):
        return "slide" if name.endswith(endings.slide) or wanted == "slide" else "image"
    return None


def _kind_by_ending(file: FoundFile, endings: Endings) -> Kind:
    return "slide" if file.location.lower().endswith(endings.slide) else "image"


@dataclass(frozen=True)
class _Looker:
    """The `data.loading.load.Decoder` for the kinds of files, by location."""

    timeout_s: float

    def __getitem__(self, locations: list[bytes]) -> list[Look]:
        limits = FileLimits(self.timeout_s)
        found: list[Look] = []
        for number, location in enumerate(locations):
            limits.begin(number)
            found.append(_look(location))
        return found

    def apart(self, locations: list[bytes]) -> list[list[bytes]]:
        return [[location] for location in locations]

    def lost(self, locations: list[bytes], failure: Failure) -> list[Look]:
        return [replace(failure, stage="discover")] * len(locations)

    def join(self, loaded: Sequence[list[Look]]) -> list[Look]:
        return [look for looks in loaded for look in looks]


def _look(location: bytes) -> Look:
    from cancernet_cli.data.slides.kinds import kind_of

    try:
        return "part" if is_part(location) else kind_of(location)
    except MemoryError:
        return no_memory("discover", "its directories")
    except Exception:  # the per-file edge: parsers raise anything, and the readers will say what is wrong
        return None
