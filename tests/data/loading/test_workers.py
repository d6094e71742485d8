"""Workers that crash, hang, take too much or are killed: each costs its file, and never the run."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.errors import DeviceError
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading import transfer
from cancernet_cli.data.loading.images import BatchDecoder, DecodedBatch, DecodedImage, chunks
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.data.loading.workers import start_workers
from tests.numbered_images import write_numbered

POLICY = InputPolicy(width_px=16, height_px=16)


@dataclass(frozen=True)
class EvilDecoder(BatchDecoder):
    """Does something before the file of that name."""

    name: str = "4.png"
    act: Callable[[], object] = int

    def decode(self, file: FoundFile) -> tuple[np.ndarray, DecodedImage, np.ndarray]:
        if file.path == self.name:
            self.act()
        return super().decode(file)


@pytest.fixture
def files(tmp_path: Path) -> list[FoundFile]:
    return write_numbered(tmp_path, [32] * 7)


def failures(batches: list[DecodedBatch]) -> dict[str, Failure]:
    pairs = [pair for batch in batches for pair in zip(batch.files, batch.images, strict=True)]
    return {file.path: image for file, image in pairs if isinstance(image, Failure)}


def load(files: list[FoundFile], act: Callable[[], object], workers: int, timeout_s: float = 60) -> list[DecodedBatch]:
    decoder = EvilDecoder(POLICY, 10**6, act=act, timeout_s=timeout_s)
    batches = list(load_batches(chunks(files, 3), decoder, workers=workers))
    assert [file for batch in batches for file in batch.files] == files
    good = [int(file.path[0]) for file in files if file.path not in failures(batches)]
    assert torch.cat([batch.pixels for batch in batches])[:, 0, 0, 0].tolist() == good
    return batches


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_takes_too_long_is_given_up(files: list[FoundFile], workers: int) -> None:
    started = time.monotonic()
    found = failures(load(files, lambda: time.sleep(600), workers, timeout_s=2))
    assert found == {"4.png": Failure("decode", "TimedOut", "it took more than 2 s; see --file-timeout")}
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_crash_costs_the_file_and_says_nothing_that_differs_between_runs(
    files: list[FoundFile], number: signal.Signals
) -> None:
    def crash() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), number)

    found = failures(load(files, crash, 0))
    assert found == {
        "4.png": Failure("decode", "WorkerDied", "the process that read it crashed, was killed or ran out of memory")
    }


def test_a_worker_that_is_killed_from_outside_costs_nothing(files: list[FoundFile], tmp_path: Path) -> None:
    def killed_once() -> None:
        if not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    assert failures(load(files, killed_once, 2)) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces it")
def test_a_file_that_takes_too_much_memory_fails(files: list[FoundFile]) -> None:
    found = failures(load(files, lambda: np.ones(6 * 1024**3, np.uint8), 1))
    words = "not enough memory for its pixels; the limit for one file is 2.1 GB"
    assert found == {"4.png": Failure("decode", "MemoryError", words)}


def test_pixels_that_do_not_fit_into_shared_memory_come_through_the_connection(
    files: list[FoundFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "SLOT_BYTES", 4096)  # three views take 2304 bytes, three images 9216
    decoder = BatchDecoder(POLICY, 10**6, keep_originals=True)
    batches = list(load_batches(chunks(files, 3), decoder, workers=2))
    assert [int(one[0, 0, 0]) for batch in batches for one in batch.originals] == list(range(7))
    assert torch.cat([batch.pixels for batch in batches])[:, 0, 0, 0].tolist() == list(range(7))


def test_results_stay_as_they_are_while_their_memory_is_used_again(files: list[FoundFile]) -> None:
    loader = load_batches(chunks(files, 1), BatchDecoder(POLICY, 10**6), workers=1)
    first = next(loader)
    assert len(list(loader)) == 6
    assert first.pixels[0, 0, 0, 0] == 0


def test_a_mistake_of_ours_ends_the_run_and_says_where() -> None:
    with pytest.raises(RuntimeError, match=r"a worker failed:[\s\S]*IndexError"):
        list(start_workers([1, 2], [0, 1, 2], 1))


def test_too_few_descriptors_are_an_error_with_a_remedy() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 3, hard))
        with pytest.raises(
            DeviceError, match=r"worker process \d of 4 cannot be started: Too many open files"
        ) as found:
            start_workers([1], [0], 4)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "ulimit -n" in found.value.fix


def _in_a_pool(numbers: list[int]) -> list[int]:
    return list(start_workers([1, 2, 3], numbers, 2))


def test_a_process_that_may_have_no_children_does_the_work_itself() -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_in_a_pool, ([2, 0],)) == [3, 1]


STUCK = """
import os, sys, time
from cancernet_cli.data.loading.workers import start_workers

class Work:
    def __getitem__(self, item):
        print(os.getpid(), flush=True)
        end = time.monotonic() + 600
        while time.monotonic() < end: sum(range(10**6))

for _ in start_workers(Work(), [0, 1], 2): pass
"""


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_the_main_process_even_if_they_are_busy() -> None:
    main = subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, text=True)
    assert main.stdout is not None
    workers = [int(main.stdout.readline()) for _ in range(2)]
    main.kill()
    main.wait()
    end = time.monotonic() + 5
    while any(map(is_running, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


LARGE = """
import numpy, torch
from cancernet_cli.data.loading.workers import start_workers

class Work:
    def __getitem__(self, item):
        return torch.full((30_000_000,), item, dtype=torch.uint8)

print([int(found[-1]) for found in start_workers(Work(), range(6), 2)])
"""


@pytest.mark.slow
@pytest.mark.parametrize("size", ["64m", "1m"])
def test_a_small_dev_shm_is_enough(size: str) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let a test mount another /dev/shm")
    mounted = f'mount -t tmpfs -o size={size} none /dev/shm && exec "$0" -c "$1"'
    command = [unshare, "-rm", "sh", "-c", mounted, sys.executable, LARGE]
    found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    assert found.stdout == "[0, 1, 2, 3, 4, 5]\n"


def test_pinned_results_share_nothing_with_the_memory_they_came_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", torch.Tensor.clone)  # a machine without a GPU cannot pin
    slot = transfer.new_slot()
    assert slot is not None
    ones, twos = torch.ones(3, 4), torch.full((2,), 2, dtype=torch.int64)
    batch = DecodedBatch([], [], ones, [twos])
    pair, loaded = (transfer.unpack(transfer.pack(made, slot), slot, pin_memory=True) for made in ((ones, twos), batch))
    slot[:256] = b"\xff" * 256
    assert torch.equal(pair[0], ones)
    assert torch.equal(pair[1], twos)
    assert torch.equal(loaded.pixels, ones)
    assert torch.equal(loaded.originals[0], twos)
