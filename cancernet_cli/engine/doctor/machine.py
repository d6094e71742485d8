"""Checks of the machine: processor, memory, GPU, limits of the system, cache and disk."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cancernet_cli.core.cache import Untrusted, cache_folder, cache_root
from cancernet_cli.core.errors import DeviceError
from cancernet_cli.core.machine.devices import check_device
from cancernet_cli.core.machine.system import available_cores, memory_bytes, processor
from cancernet_cli.engine.doctor.findings import Finding

GB = 10**9
LEAST_MEMORY = 4 * GB
LEAST_DISK = 1 * GB  # a converted network takes some 20 MB, a table of a million images some 100 MB
FEWEST_DESCRIPTORS = 256


def machine_findings() -> Iterator[Finding]:
    """All checks of the machine, in the order of the report."""
    yield _system()
    yield _memory()
    yield _gpu()
    yield from _limits()
    yield _cache()
    yield _disk("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to a folder on a larger disk")
    yield _disk("current folder", Path.cwd(), "write the outputs to a larger disk")


def _system() -> Finding:
    found = f"{platform.platform()}, {processor()}, {available_cores()} cores"
    if platform.system() != "Linux":
        return Finding("machine", "note", found, "CancerNet is tested on Linux; please report what fails")
    return Finding("machine", "ok", found)


def _memory() -> Finding:
    size = memory_bytes()
    if size is None:
        return Finding("memory", "note", "unknown")
    found = f"{size / GB:.1f} GB"
    if size < LEAST_MEMORY:
        return Finding("memory", "problem", found, "use --workers 1 and --batch-size 1, or a machine with 4 GB or more")
    return Finding("memory", "ok", found)


def _gpu() -> Finding:
    try:
        check_device("cuda")
    except DeviceError as error:
        has_driver = "no NVIDIA driver" not in error.message and "built without" not in error.message
        return Finding("GPU", "problem" if has_driver else "note", error.message, error.fix)
    return Finding("GPU", "ok", "the CUDA driver finds one")


def _limits() -> Iterator[Finding]:
    try:
        import resource
    except ImportError:  # Windows
        return
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if descriptors != resource.RLIM_INFINITY and descriptors < FEWEST_DESCRIPTORS:
        yield Finding("open files", "problem", f"at most {descriptors}", f"run `ulimit -n {FEWEST_DESCRIPTORS * 4}`")
    else:
        yield Finding("open files", "ok", "at most " + ("any" if descriptors < 0 else f"{descriptors:,}"))
    largest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if largest not in (-1, resource.RLIM_INFINITY) and largest < LEAST_DISK:
        yield Finding("file size", "problem", f"at most {largest / 1e6:.0f} MB a file", "run `ulimit -f unlimited`")
    yield _shared_memory()


def _shared_memory() -> Finding:
    """Images go from worker to worker in anonymous memory; only PyTorch's own processes need /dev/shm."""
    folder = Path("/dev/shm")
    if not folder.is_dir():
        return Finding("shared memory", "note", "no /dev/shm", "classify does without; torchrun needs it")
    size = shutil.disk_usage(folder).total
    if not os.access(folder, os.W_OK):
        return Finding("shared memory", "note", "/dev/shm is read-only", "classify does without; torchrun needs it")
    return Finding("shared memory", "ok", f"{size / GB:.2f} GB in /dev/shm (classify does without)")


def _cache() -> Finding:
    root = cache_root()
    fix = f"make {root} yours and writable, or set CANCERNET_CACHE to another folder"
    try:
        folder = cache_folder("doctor")
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"0" * 65_536)
        folder.rmdir()
    except (Untrusted, OSError) as error:
        reason = error.strerror or str(error)
        return Finding("cache", "problem", f"{root}: {reason}; converted networks cannot be kept", fix)
    free = shutil.disk_usage(root).free
    if free < LEAST_DISK:
        return Finding("cache", "problem", f"{root}: {free / 1e6:.0f} MB free", f"free some space, or {fix}")
    return Finding("cache", "ok", f"{root}, {free / GB:.1f} GB free")


def _disk(name: str, folder: Path, fix: str) -> Finding:
    free = shutil.disk_usage(folder).free
    found = f"{folder}, {free / GB:.1f} GB free"
    if not os.access(folder, os.W_OK):
        return Finding(name, "problem", f"{folder} is not writable", fix)
    return Finding(name, "ok" if free >= LEAST_DISK else "problem", found, "" if free >= LEAST_DISK else fix)
