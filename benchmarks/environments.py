"""Separate environments for the tools we compare with, created by pip once and then reused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ENVIRONMENTS = Path("~/.cache/cancernet-benchmarks")


def peer_python(environment: Path, package: str, version: str, also: Sequence[str] = ()) -> Path:
    """Path of Python in an environment with a version of a package, which is created if necessary.

    Args:
        also: further arguments for `pip install`.

    Raises:
        SystemExit: the installation failed; the output of pip went to stderr.
    """
    python = environment / "bin" / "python"
    if installed_version(python, package) == version:
        return python
    print(f"installing {package} {version} into {environment}: once, some 7 GB, takes minutes", file=sys.stderr)
    for step in (["venv", str(environment)], ["pip", "install", "--quiet", f"{package}=={version}", *also]):
        runs = sys.executable if step[0] == "venv" else str(python)
        if subprocess.run([runs, "-m", *step], stdout=sys.stderr).returncode:
            raise SystemExit(f"{package} {version} could not be installed; pass an environment that has it")
    return python


def installed_version(python: Path, package: str) -> str | None:
    """Version of a package in the environment of this Python."""
    if not python.exists():
        return None
    asked = [str(python), "-c", f"from importlib.metadata import version; print(version('{package}'))"]
    return subprocess.run(asked, capture_output=True, text=True).stdout.strip() or None
