"""Measure start-up time, throughput and memory of the demo.

    python benchmarks/measure_demo.py

`cancernet --help` and the command of the demo (`make demo`) are timed as whole processes. The demo has only eight
fields of view, so most of its time is start-up: throughput is computed from a folder with many links to the same
fields, and the additional time it takes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import machine
from folders import SLIDES, images_below, many_links
from processes import CANCERNET, Measured, classify_command, measured

from cancernet_cli.core.models import DEFAULT_MODEL


def figures(runs: list[Measured]) -> dict[str, Any]:
    """Median times with every single time, and the highest peaks."""
    times = [run.elapsed_s for run in runs]
    return {
        "median_s": round(statistics.median(times), 3),
        "rounds_s": [round(t, 3) for t in times],
        "peak_rss_mb": round(max(run.peak_rss_bytes for run in runs) / 1e6, 1),
        "peak_tree_mb": round(max(run.peak_tree_bytes for run in runs) / 1e6, 1),
    }


def main() -> None:
    """Parse arguments, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=140, help="number of links in the large folder")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    fields = images_below(SLIDES)

    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        many = many_links(fields, scratch / "many", arguments.files, copies=scratch / "copies")
        helps = [measured([*CANCERNET, "--help"]) for _ in range(arguments.rounds + 2)]
        demo: list[Measured] = []
        few_runs: list[Measured] = []
        many_runs: list[Measured] = []
        for turn in range(arguments.rounds):
            out, device = scratch / f"{turn}.parquet", ("--device", arguments.device)
            overlays = ("--overlays", str(scratch / f"overlays{turn}"))
            demo.append(measured(classify_command(SLIDES, DEFAULT_MODEL, out, *device, *overlays)))
            few_runs.append(measured(classify_command(SLIDES, DEFAULT_MODEL, out.with_suffix(".few.parquet"), *device)))
            many_runs.append(measured(classify_command(many, DEFAULT_MODEL, out.with_suffix(".many.parquet"), *device)))

    few_s, many_s = (statistics.median(run.elapsed_s for run in runs) for runs in (few_runs, many_runs))
    result = machine.facts() | {
        "model": DEFAULT_MODEL,
        "help": figures(helps),
        "demo": {"files": len(fields), **figures(demo)},
        "many": {"files": arguments.files, **figures(many_runs)},
        "images_per_s": round((arguments.files - len(fields)) / (many_s - few_s), 2),
        "images_per_s_with_start": round(arguments.files / many_s, 2),
    }
    machine.report("demo", result, arguments.out)


if __name__ == "__main__":
    main()
