"""Check that peak memory of `cancernet classify` does not grow with the number of files.

    python benchmarks/memory.py

The files are links to small versions of the example fields; the model is tiny, so that any growth is visible. A first
run, in which the network is converted once for all later ones, is not counted; medians of the rounds are compared.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import machine
from folders import SLIDES, images_below, many_links, random_model
from growth import check_growth, grown_between
from PIL import Image
from processes import Measured, classify_command, measured


def small_fields(folder: Path, side_px: int = 96) -> list[Path]:
    """Write small versions of the example fields, so that thousands decode quickly."""
    folder.mkdir()
    for i, path in enumerate(images_below(SLIDES)):
        Image.open(path).convert("RGB").resize((side_px, side_px)).save(folder / f"{i}.jpg", quality=90)
    return images_below(folder)


def main() -> None:
    """Parse arguments, run and report; exit with 1 if memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs=2, default=[500, 20_000], metavar=("FEW", "MANY"))
    parser.add_argument("--workers", default="2", help="workers of cancernet classify")
    parser.add_argument("--rounds", type=int, default=3, help="alternating runs of each")
    parser.add_argument("--labels", action="store_true", help="label every file, so that metrics are computed")
    parser.add_argument("--limit-mb", type=float, default=60.0, help="fail if memory grows by more")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    parts = ("benign", "malignant") if arguments.labels else ("images",)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        model = random_model(scratch / "tiny", "test_efficientnet", 64)
        fields = small_fields(scratch / "fields")
        for count in arguments.counts:
            for part in parts:
                many_links(fields, scratch / str(count) / part, count // len(parts), copies=scratch / "copies")
        out = scratch / "predictions.parquet"

        def run(count: int) -> Measured:
            taken = measured(classify_command(scratch / str(count), model, out, "--workers", arguments.workers))
            out.unlink()
            return taken

        found = grown_between(arguments.counts, arguments.rounds, run)

    files = {"files": found.pop("peaks")}
    result = machine.facts() | {"workers": arguments.workers, "labels": arguments.labels, **files, **found}
    machine.report("memory", result, arguments.out)
    check_growth(found, arguments.limit_mb)


if __name__ == "__main__":
    main()
