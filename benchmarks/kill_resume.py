"""Kill `cancernet classify` at random moments, resume it each time, and compare the bytes with an uninterrupted run.

    python benchmarks/kill_resume.py FOLDER --kills 10
    python benchmarks/kill_resume.py --mixed             # a folder of 3 slides, 40 photos and 6 broken files
    python benchmarks/kill_resume.py --mixed --kills 100 --what main,group,worker

Kills the main process, its whole process group, or one of its workers, in turn. Checks that there is one row per file,
that every table has the same bytes (the main one and, for slides, the tiles), and that five seconds after each kill no
process, temporary file or shared memory of the run is left.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from pathlib import Path

import machine
import pyarrow.parquet as pq
from killing import WHATS, run_and_kill
from mixed_folder import MIXED, write_mixed
from processes import classify_command, measured

from cancernet_cli.core.cards import file_sha256
from cancernet_cli.core.models import DEFAULT_MODEL

SOME_FAILED = 7  # exit code of a run that finished with some unreadable files


def tables_sha256(out: Path) -> dict[str, str]:
    """Checksums of the tables of a run, by file suffix."""
    tables = (out, out.with_suffix(".tiles.parquet"))
    return {path.name.removeprefix(out.stem): file_sha256(path) for path in tables if path.exists()}


def main() -> None:
    """Parse arguments, run and report; exit with 1 if the bytes differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--mixed", action="store_true", help="generate a folder of slides, photos and broken files")
    parser.add_argument("--slide-px", type=int, default=8000, help="side length of its slides, in pixels")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--what", default=",".join(WHATS), help="what to kill, in turn, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", default="auto", help="workers of cancernet classify")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if (arguments.folder is None) != arguments.mixed:
        parser.error("pass a FOLDER or --mixed")
    whats = arguments.what.split(",")
    if not set(whats) <= set(WHATS):
        parser.error(f"--what takes {', '.join(WHATS)}")
    moments = random.Random(arguments.seed)

    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        folder = write_mixed(scratch / "mixed", arguments.slide_px) if arguments.mixed else arguments.folder
        more = ("--workers", arguments.workers)
        undisturbed = scratch / "undisturbed.parquet"
        taken = measured(classify_command(folder, arguments.model, undisturbed, *more), allowed=(0, SOME_FAILED))
        wanted = tables_sha256(undisturbed)
        rows = pq.read_table(undisturbed, columns=["path", "kind", "status"]).to_pylist()
        if arguments.mixed and Counter((row["kind"], row["status"]) for row in rows) != MIXED:
            raise SystemExit(f"rows do not match the files of the folder: {rows}")

        out = scratch / "killed.parquet"
        command = classify_command(folder, arguments.model, out, *more)
        empty = scratch / "temporary"
        empty.mkdir()
        kills: list[tuple[str, float]] = []
        left: list[str] = []
        reused: list[int] = []
        same: list[bool] = []

        def ended() -> None:
            """Record the result of a finished run and delete its files."""
            same.append(tables_sha256(out) == wanted)
            reused.append(json.loads(out.with_suffix(".run.json").read_text("utf-8"))["reused"])
            out.unlink()
            out.with_suffix(".tiles.parquet").unlink(missing_ok=True)

        while len(kills) < arguments.kills:
            moment, what = moments.uniform(0.1, taken.elapsed_s), whats[len(kills) % len(whats)]
            outcome = run_and_kill(command, moment, what, empty, moments, allowed=(0, SOME_FAILED))
            left += outcome.left
            if outcome.killed:
                kills.append((what, round(moment, 2)))
            if outcome.has_ended:
                ended()
        measured(command, allowed=(0, SOME_FAILED))
        ended()

    result = machine.facts() | {
        "model": arguments.model,
        "rows": dict(sorted(Counter(f"{row['kind']} {row['status']}" for row in rows).items())),
        "tables": sorted(wanted),
        "undisturbed_s": round(taken.elapsed_s, 1),
        "kills": dict(Counter(what for what, _ in kills)),
        "killed_after_s": [seconds for _, seconds in kills],
        "left_behind": left,
        "runs_to_the_end": len(same),
        "files_reused_in_them": reused,
        "same_bytes": all(same),
    }
    machine.report("kill-resume-mixed" if arguments.mixed else "kill-resume", result, arguments.out)
    if not all(same):
        raise SystemExit("the tables differ")
    if left:
        raise SystemExit(f"left behind: {', '.join(left)}")


if __name__ == "__main__":
    main()
