"""Classify a folder of damaged files of every format, and check that none of them does harm.

    python benchmarks/fuzz.py --files 100000 --seed 1 --workers 2

The files are drawn by this script; one of twenty is sound. There must be one row per file, and a sound file's row must
be the same as in a folder without damaged ones. The run must end within the limits of memory and time.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import machine
import pyarrow.parquet as pq
from damaged_files import sound_files, write_files
from folders import random_model
from processes import classify_command, measured

SOME_FAILED = 7  # exit code of a run that finished with some unreadable files
OF_THE_PLACE = ("path", "patient", "slide", "magnification", "true_label")  # may come from the names of folders


def rows_of(table: Path) -> dict[str, dict[str, Any]]:
    """The rows of a table by path, without what depends on where the file is."""
    rows = pq.read_table(table).to_pylist()
    return {row["path"]: {k: v for k, v in row.items() if k not in OF_THE_PLACE} for row in rows}


def reason(row: dict[str, Any]) -> str:
    """Stage and class of a row's error."""
    return ": ".join(str(row["error"]).split(": ")[:2])


def main() -> None:
    """Parse arguments, run and report; exit with 1 if something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", default="2", help="workers of cancernet classify")
    parser.add_argument("--limit-mb", type=float, default=4000.0, help="fail if it needs more memory")
    parser.add_argument("--limit-s", type=float, help="fail if it takes longer")
    parser.add_argument("--keep", type=Path, help="write the files into this folder, and leave them there")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        model = random_model(scratch / "tiny", "test_efficientnet", 64)
        sound = scratch / "sound"
        sound.mkdir()
        for name, content in sound_files().items():
            (sound / name).write_bytes(content)
        alone = scratch / "sound.parquet"
        options = ("--workers", arguments.workers, "--labels", "none")
        measured(classify_command(sound, model, alone, *options), allowed=(0, SOME_FAILED))
        expected = rows_of(alone)
        folder = arguments.keep or scratch / "files"
        written = dict(write_files(folder, arguments.files, arguments.seed))
        out = scratch / "predictions.parquet"
        taken = measured(classify_command(folder, model, out, *options), allowed=(0, SOME_FAILED))
        found = rows_of(out)

    wrong = [path for path, name in written.items() if name is not None and found.get(path) != expected[name]]
    failed = [row for row in found.values() if row["status"] == "failed"]
    peak_mb = max(taken.peak_rss_bytes, taken.peak_tree_bytes) / 1e6
    result = machine.facts() | {
        "files": arguments.files,
        "seed": arguments.seed,
        "workers": arguments.workers,
        "rows": len(found),
        "failed": len(failed),
        "sound_files_refused": sorted(name for name, row in expected.items() if row["status"] == "failed"),
        "sound_rows_changed": wrong,
        "seconds": round(taken.elapsed_s, 1),
        "peak_mb": round(peak_mb),
        "reasons": dict(Counter(map(reason, failed)).most_common(20)),
    }
    machine.report("fuzz", result, arguments.out)
    problems = [
        *([f"{len(found)} rows of {len(written)} files"] if found.keys() != written.keys() else []),
        *([f"{len(wrong)} rows of sound files changed"] if wrong else []),
        *([f"{peak_mb:.0f} MB"] if peak_mb > arguments.limit_mb else []),
        *([f"{taken.elapsed_s:.0f} s"] if arguments.limit_s and taken.elapsed_s > arguments.limit_s else []),
    ]
    if problems:
        raise SystemExit("; ".join(problems))


if __name__ == "__main__":
    main()
