"""Measure end to end with various batch sizes, numbers of workers and precisions, and choose the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from cancernet_cli.core import interruption
from cancernet_cli.core.errors import DeviceError, ModelError, OptionError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, Warn
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.engine.bench.end_to_end import WholeRun, whole_run
from cancernet_cli.engine.bench.timing import Spread
from cancernet_cli.inference.advice import FLOATS, MAX_DIFFERENCE

NEAR = 0.97  # of the best rate: within the variation between repetitions, so the cheaper value wins


def sweep(
    name: str, values: Sequence[Any], inputs: Path, options: ClassifyOptions, *, repeat: int, report: Reporter
) -> list[dict[str, Any]]:
    """Measure end to end with each value of the option `name`: its rate, or why it is not available.

    For `precision`, also the largest change in probabilities from fp32, which runs first.
    """
    stage = f"sweep {name.replace('_', ' ')}"
    report(StageStarted(stage, len(values) * repeat, "steps"))
    reference: Path | None = None
    if name == "precision":
        plain = replace(options, precision="fp32", out=options.out.with_name("fp32.parquet"))
        reference = whole_run(inputs, plain, report).table
    rows: list[dict[str, Any]] = []
    for value in values:
        asked = replace(options, **{name: value})
        runs: list[WholeRun] = []
        try:
            for _ in range(repeat):
                interruption.check(fix="run the same command again")
                runs.append(whole_run(inputs, asked, report))
                report(StageAdvanced(stage, 1))
        except (DeviceError, ModelError, OptionError) as error:
            rows.append({name: value, "error": error.message})
            continue
        row: dict[str, Any] = {
            name: value,
            "images_per_s": asdict(Spread.of(run.images_per_s for run in runs)),
            "is_steady": all(run.is_steady for run in runs),
            "device_peak_bytes": max((run.device_peak_bytes or 0 for run in runs), default=0) or None,
        }
        if reference is not None:
            row["probability_difference"] = probability_difference(reference, runs[-1].table)
        rows.append(row)
        if not row["is_steady"]:
            report(Warn(f"too few files to measure {name.replace('_', ' ')} {value}: it is not considered as the best"))
    report(StageFinished(stage))
    return rows


def probability_difference(reference: Path, other: Path) -> float | None:
    """Largest absolute difference between the probabilities of two tables; None if they have different files."""
    tables = [pq.read_table(path).sort_by("path") for path in (reference, other)]
    if tables[0]["path"] != tables[1]["path"]:
        return None
    most = 0.0
    for name in tables[0].column_names:
        if name.startswith("prob_"):
            one, two = (table[name].to_numpy().astype(np.float64) for table in tables)
            if (np.isnan(one) != np.isnan(two)).any():
                return None
            known = ~np.isnan(one)
            most = max(most, float(np.abs(one - two)[known].max(initial=0.0)))
    return most


def best(name: str, rows: Sequence[dict[str, Any]]) -> Any:
    """The cheapest value whose rate is close to the best; None if nothing could be measured.

    The smallest number is the cheapest. A precision must be floating-point and must not change probabilities.
    """
    usable = [row for row in rows if "error" not in row and row["is_steady"]]  # otherwise the rate is meaningless
    if name == "precision":
        usable = [row for row in usable if row[name] in FLOATS and _is_exact(row["probability_difference"])]
        usable.sort(key=lambda row: FLOATS.index(row[name]))
    else:
        usable.sort(key=lambda row: int(row[name]))
    if not usable:
        return None
    enough = NEAR * max(row["images_per_s"]["median"] for row in usable)
    return next(row[name] for row in usable if row["images_per_s"]["median"] >= enough)


def _is_exact(difference: float | None) -> bool:
    return difference is not None and difference < MAX_DIFFERENCE
