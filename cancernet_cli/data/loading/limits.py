"""What one file may cost a worker: time, which the main process watches, and memory, which the system refuses."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from cancernet_cli.core.records import Failure

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

WHOLE = -1  # the step is all of an item, not one of its pieces
SLIDE_TIMES = 5  # a slide's plan, or a few of its tiles, may take this much longer than an image

_BASE_BYTES = 512 * 1024**2
_BYTES_PER_PIXEL = 16  # 16 bits with alpha, decoded twice
_FEWEST_PIXELS = 100_000_000  # a slide needs as much memory, whatever the largest image
_MOST_FILE_BYTES = 4 * 1024**3
# In words of C++, GLib, OpenCV, libtiff and the C library
_REFUSED = re.compile(
    r"bad_alloc|failed to allocate|out of memory|not enough memory|cannot allocate memory|insufficient memory", re.I
)

_told: Callable[[int, float, float, int], None] | None = None
_allowed_bytes = 0  # for the current step, if the system enforces it
_statm: int | None = None
_own_limit = (-1, -1)


@dataclass(frozen=True)
class FileLimits:
    """Limits on one file; without effect outside of a worker.

    timeout_s: for an image; a slide gets `SLIDE_TIMES` as much. max_pixels: of the largest image.
    """

    timeout_s: float = 60.0
    max_pixels: int = _FEWEST_PIXELS

    def begin(self, step: int, *, size_bytes: int = 0, times: float = 1.0) -> None:
        """Called before each step of an item: the time and memory for it are counted from here.

        size_bytes: of the file, if all of it is read.
        """
        if _told is None:
            return
        file_bytes = 2 * min(size_bytes, _MOST_FILE_BYTES)
        _allow(_BASE_BYTES + _BYTES_PER_PIXEL * max(self.max_pixels, _FEWEST_PIXELS) + file_bytes)
        _told(step, self.timeout_s * times, starved_s(), _allowed_bytes)


def no_memory(stage: str = "decode", what: str = "its pixels", allowed_bytes: int | None = None) -> Failure:
    """The failure of a file that asks for more memory than there is, or than it may take.

    allowed_bytes: the limit; default: that of the current step, if there is one.
    """
    allowed = _allowed_bytes if allowed_bytes is None else allowed_bytes
    limit = f"; the limit for one file is {allowed / 1e9:.1f} GB" if allowed else ""
    return Failure(stage, "MemoryError", f"not enough memory for {what}{limit}")


def failure_of(stage: str, error: Exception) -> Failure:
    """As `Failure.of`; an allocation that was refused in a library is a MemoryError, whatever the library calls it."""
    return no_memory(stage) if is_out_of_memory(str(error)) else Failure.of(stage, error)


def is_out_of_memory(words: str) -> bool:
    """Whether a library says that an allocation was refused."""
    return _REFUSED.search(words) is not None


def starved_s(process: int | str = "self") -> float:
    """How long a process has waited for a core since it started; 0 where the system does not tell.

    On a busy machine this can be most of the time, for which no file is to blame.
    """
    try:
        with open(f"/proc/{process}/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def start_limits(told: Callable[[int, float, float, int], None]) -> None:
    """In a worker: enforce limits from now on.

    `told` is called with the step that begins, its seconds, `starved_s`, and its bytes of memory (0: no limit).
    """
    global _told, _statm, _own_limit
    _told = told
    if resource is not None and os.path.exists("/proc/self/statm"):
        _statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        _own_limit = resource.getrlimit(resource.RLIMIT_DATA)


def lift_limits() -> None:
    """In a worker, after an item: results are passed on without a limit."""
    if _statm is not None:
        resource.setrlimit(resource.RLIMIT_DATA, _own_limit)


def _allow(more_bytes: int) -> None:
    """Let this process allocate so much more private memory than it has now.

    RLIMIT_DATA and not RLIMIT_AS: libraries, mapped files, memory shared with the main process and address space that
    PyTorch and CUDA only reserve do not count. An allocation beyond it fails, and decoders report that.
    """
    global _allowed_bytes
    if _statm is None:
        return
    data_bytes = int(os.pread(_statm, 200, 0).split()[5]) * resource.getpagesize()
    soft, hard = _own_limit
    wanted = data_bytes + more_bytes
    at_most = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *at_most]), hard))
    _allowed_bytes = more_bytes
