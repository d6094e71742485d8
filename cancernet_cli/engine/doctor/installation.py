"""Checks of the installation: packages, extras and the bundled models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from cancernet_cli import __version__
from cancernet_cli.core.cards import checked_weights, read_card
from cancernet_cli.core.errors import CancernetError
from cancernet_cli.core.figures import counted
from cancernet_cli.core.machine.system import package_versions
from cancernet_cli.core.models import bundled_models
from cancernet_cli.engine.doctor.findings import Finding

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)[^;]*(?:;.*extra == ['\"](?P<extra>[\w-]+)['\"])?")
_DEVELOPERS = ("dev", "docs")


def installation_findings() -> Iterator[Finding]:
    """All checks of the installation, in the order of the report."""
    needed = _requirements()
    yield _packages(needed.pop("", []))
    yield _extras(needed)
    yield from map(_model, bundled_models().values())


def _requirements() -> dict[str, list[str]]:
    """Names of the packages of each extra, and those of every installation as ""."""
    try:
        lines = requires("cancernet") or []
    except PackageNotFoundError:  # the source without an installation
        return {}
    found: dict[str, list[str]] = {}
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match:
            found.setdefault(match["extra"] or "", []).append(match["name"])
    return found


def _packages(needed: list[str]) -> Finding:
    versions = package_versions(*needed)
    missing = [name for name in needed if name not in versions]
    if not needed:
        return Finding("packages", "note", "cancernet is not installed; its source is run", "run `pip install -e .`")
    if missing:
        return Finding(
            "packages", "problem", f"missing: {', '.join(missing)}", f"run `pip install {' '.join(missing)}`"
        )
    shown = ", ".join(f"{name} {versions[name]}" for name in ("torch", "openvino", "pyarrow") if name in versions)
    return Finding("packages", "ok", f"cancernet {__version__}, {shown}; {counted(len(needed), 'package')} found")


def _extras(needed: dict[str, list[str]]) -> Finding:
    offered = {extra: packages for extra, packages in needed.items() if extra not in _DEVELOPERS}
    there = [extra for extra, packages in offered.items() if len(package_versions(*packages)) == len({*packages})]
    not_there = [extra for extra in offered if extra not in there]
    if not_there:
        wanted = f'pip install "cancernet[{",".join(not_there)}]"'
        found = f"installed: {', '.join(there) or 'none'}; not installed: {', '.join(not_there)}"
        return Finding("extras", "note", found, f"run `{wanted}` if you need them")
    return Finding("extras", "ok", f"installed: {', '.join(there) or 'none'}")


def _model(folder: Path) -> Finding:
    name = f"model {folder.name}"
    try:
        weights = checked_weights(folder, read_card(folder))
    except CancernetError as error:
        return Finding(name, "problem", error.message, error.fix)
    return Finding(name, "ok", f"weights match the card, {weights.stat().st_size / 1e6:.1f} MB")
