"""One pass over the images before training: which are readable, and their fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cancernet_cli.core import interruption
from cancernet_cli.core.arrays import I64
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, Warn
from cancernet_cli.core.machine.system import available_cores
from cancernet_cli.core.options import LearningOptions
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.each import in_workers
from cancernet_cli.data.loading.limits import FileLimits
from cancernet_cli.data.readers import read_image
from cancernet_cli.data.splits.duplicates import Fingerprint, fingerprint

STAGE = "looking for duplicates"
MOST_WORKERS = 16


def limits_of(options: LearningOptions) -> FileLimits:
    """What one training file may cost."""
    return FileLimits(options.file_timeout, options.max_pixels)


def workers_of(options: LearningOptions) -> int:
    """How many workers read files before the training, which has not started its own."""
    wanted = options.workers if isinstance(options.workers, int) else available_cores()
    return min(wanted, MOST_WORKERS)


@dataclass(frozen=True)
class _Printer:
    max_pixels: int

    def __call__(self, location: bytes) -> Fingerprint:
        return fingerprint(read_image(location, max_pixels=self.max_pixels))


def read_fingerprints(
    locations: Sequence[bytes], options: LearningOptions, report: Reporter
) -> list[Fingerprint | Failure]:
    """The fingerprint of each image file, or why it cannot be read; each file is decoded once, in workers.

    Raises:
        Interrupted: a signal asked to stop.
    """
    report(StageStarted(STAGE, len(locations), "images"))
    found: list[Fingerprint | Failure] = []
    for one in in_workers(
        _Printer(options.max_pixels),
        locations,
        limits_of(options),
        workers=workers_of(options),
        meanwhile=interruption.check,
    ):
        found.append(one)
        report(StageAdvanced(STAGE, 1, failed=int(isinstance(one, Failure))))
    report(StageFinished(STAGE))
    return found


def readable_rows(files: Sequence[FoundFile], found: Sequence[Fingerprint | Failure], report: Reporter) -> I64:
    """The row numbers of the readable files, ascending; the others are reported as omitted.

    Raises:
        InputError: no file is readable.
    """
    rows = []
    for row, (file, one) in enumerate(zip(files, found, strict=True)):
        if isinstance(one, Failure):
            report(Warn(f"{file.path} is omitted: {one}"))
        else:
            rows.append(row)
    if not rows:
        raise InputError(f"none of {len(files)} images could be read", fix="see the warnings above")
    return np.array(rows, dtype=np.int64)
