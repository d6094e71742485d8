"""Kill `cancernet classify` at random moments, let it go on each time, and compare the bytes with an undisturbed run.

python benchmarks/kill_resume.py FOLDER --kills 10
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
from pathlib import Path

import machine
from processes import classify_command, measured

from cancernet_cli.core.cards import file_sha256
from cancernet_cli.core.models import DEFAULT_MODEL


def killed_after(command: list[str], seconds: float) -> bool:
    """Start a command and send SIGKILL after so many seconds; whether that came before its end."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            _, talk = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
        if process.returncode:
            raise SystemExit(f"it left with {process.returncode}:\n{talk}")
        return False


def main() -> None:
    """Read the command line, run, report; leave with 1 when the bytes differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", default="auto", help="as for cancernet")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)

    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        more = ("--workers", arguments.workers)
        undisturbed = scratch / "undisturbed.parquet"
        taken = measured(classify_command(arguments.folder, arguments.model, undisturbed, *more))
        wanted = file_sha256(undisturbed)

        out = scratch / "killed.parquet"
        command = classify_command(arguments.folder, arguments.model, out, *more)
        kills: list[float] = []
        reused: list[int] = []
        same: list[bool] = []

        def ended() -> None:
            """Note what a finished run gave, and clear the way for the next."""
            same.append(file_sha256(out) == wanted)
            reused.append(json.loads(out.with_suffix(".run.json").read_text("utf-8"))["reused"])
            out.unlink()

        while len(kills) < arguments.kills:
            moment = moments.uniform(0.1, taken.elapsed_s)
            if killed_after(command, moment):
                kills.append(round(moment, 2))
            else:
                ended()
        measured(command)
        ended()

    result = machine.facts() | {
        "model": arguments.model,
        "undisturbed_s": round(taken.elapsed_s, 1),
        "killed_after_s": kills,
        "runs_to_the_end": len(same),
        "files_reused_in_them": reused,
        "same_bytes": all(same),
    }
    machine.report("kill-resume", result, arguments.out)
    if not all(same):
        raise SystemExit("the bytes differ")


if __name__ == "__main__":
    main()
