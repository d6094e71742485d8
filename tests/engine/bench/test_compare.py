"""The comparison of a record with an earlier one."""

from __future__ import annotations

import copy
from typing import Any

from cancernet_cli.engine.bench.compare import compare


def measurement() -> dict[str, Any]:
    def spread(value: float) -> dict[str, float]:
        return {"median": value, "min": value, "max": value}

    return {
        "call": {"date": "2026-01-01"},
        "machine": {"processor": "A", "cores": 2, "gpu": None, "load": 0.1},
        "versions": {"torch": "2.6"},
        "settings": {"model": "m", "batch_size": 8},
        "stages": [{"name": "decode", "ms": spread(8.0)}, {"name": "combine", "ms": None}],
        "whole": {"images_per_s": spread(20.0)},
        "limits": {
            "model_only": {"images_per_s": spread(25.0)},
            "decode_only": {"images_per_s": spread(100.0)},
        },
    }


def test_changes_in_percent_and_other_differences() -> None:
    old, new = measurement(), copy.deepcopy(measurement())
    assert compare(new, old)["differs"] == []
    new["stages"][0]["ms"]["median"] = 6.0
    new["whole"]["images_per_s"]["median"] = 30.0
    new["machine"] |= {"processor": "B", "load": 5.0}
    new["versions"] = {"torch": "2.7", "openvino": "2025.1"}
    found = compare(new, old)
    assert found["stages"] == {"decode": {"old": 8.0, "new": 6.0, "change_percent": -25.0}}
    assert found["rates"]["end to end"]["change_percent"] == 50.0
    assert found["differs"] == [
        "machine: processor was A, is B",
        "versions: openvino was None, is 2025.1",
        "versions: torch was 2.6, is 2.7",
    ]
