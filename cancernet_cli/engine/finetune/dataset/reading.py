"""One pass over the images before training: which are readable, and their fingerprints."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cancernet_cli.core import interruption
from cancernet_cli.core.arrays import I64
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, Warn
from cancernet_cli.core.machine.system import available_cores
from cancernet_cli.core.options import LearningOptions
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.readers import UnreadableImage, read_image
from cancernet_cli.data.splits.duplicates import Fingerprint, fingerprint

STAGE = "looking for duplicates"
MOST_THREADS = 16


def read_fingerprints(
    locations: Sequence[bytes], options: LearningOptions, report: Reporter
) -> list[Fingerprint | Failure]:
    """The fingerprint of each image file, or why it cannot be read; each file is decoded once, in threads.

    Raises:
        Interrupted: a signal asked to stop.
    """

    def read(location: bytes) -> Fingerprint | Failure:
        try:
            return fingerprint(read_image(location, max_pixels=options.max_pixels))
        except UnreadableImage as error:
            return error.failure

    report(StageStarted(STAGE, len(locations), "images"))
    threads = options.workers if isinstance(options.workers, int) else available_cores()
    found: list[Fingerprint | Failure] = []
    pool = ThreadPoolExecutor(max(1, min(threads, MOST_THREADS)))
    # Reading changes the process's warning filters and restores them; threads that do so at once may not.
    with warnings.catch_warnings():
        try:
            for one in pool.map(read, locations):
                found.append(one)
                report(StageAdvanced(STAGE, 1, failed=int(isinstance(one, Failure))))
                interruption.check()
        finally:
            pool.shutdown(cancel_futures=True)
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
