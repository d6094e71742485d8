"""Compare two measurements: the change of every stage and rate, and other differences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cancernet_cli.core.errors import InputError

SCHEMA = 1
_MACHINE = ("processor", "cores", "gpu")  # not the load, which always differs


def read_measurement(path: Path) -> dict[str, Any]:
    """Read a record written by `cancernet bench --json`.

    Raises:
        InputError: the file cannot be read or is not such a record.
    """
    fix = "pass a file written by `cancernet bench --json`"
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"file not found: {path}", fix=fix) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", fix=fix) from None
    if not isinstance(found, dict) or found.get("bench") != SCHEMA:
        raise InputError(f"{path} is not a `cancernet bench` record, or was written by another version", fix=fix)
    return found


def compare(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """Old and new value of every stage (ms per image) and rate (images/s), with the change in percent.

    `differs` lists differences in machine, versions and settings, which may explain the changes.
    """
    return {
        "old_date": old["call"]["date"],
        "differs": list(_differences(new, old)),
        "stages": _changes(_stage_times(new), _stage_times(old)),
        "rates": _changes(_rates(new), _rates(old)),
    }


def _changes(new: dict[str, float], old: dict[str, float]) -> dict[str, dict[str, float | None]]:
    return {
        name: {"old": old[name], "new": value, "change_percent": 100 * (value / old[name] - 1) if old[name] else None}
        for name, value in new.items()
        if name in old
    }


def _stage_times(found: dict[str, Any]) -> dict[str, float]:
    return {s["name"]: s["ms"]["median"] for s in found["stages"] if s["ms"] is not None}


def _rates(found: dict[str, Any]) -> dict[str, float]:
    return {
        "end to end": found["whole"]["images_per_s"]["median"],
        "networks alone": found["limits"]["model_only"]["images_per_s"]["median"],
        "decoding alone": found["limits"]["decode_only"]["images_per_s"]["median"],
    }


def _differences(new: dict[str, Any], old: dict[str, Any]) -> list[str]:
    words = []
    for key in ("machine", "settings", "versions"):
        names = _MACHINE if key == "machine" else sorted({*new[key], *old[key]})
        for name in names:
            before, now = old[key].get(name), new[key].get(name)
            if before != now:
                words.append(f"{key}: {name.replace('_', ' ')} was {_short(before)}, is {_short(now)}")
    return words


def _short(value: object) -> str:
    """A value as text; only the start of a checksum."""
    words = str(value)
    return words[:12] if len(words) == 64 else words
