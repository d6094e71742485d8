"""Peak memory of `cancernet classify` on a small and on a large slide: it must not grow with the slide.

    python benchmarks/memory_slides.py          # 6,000 x 6,000 and 60,000 x 60,000

The slides are generated, tissue on glass; the large one has some 39,000 tiles of 224 x 224 pixels with tissue, all
read from its finest level. The network is tiny, so that what would grow can be seen, and so that it ends within
minutes. A run before them, in which the network is converted once for all later ones, is not counted. Medians of the
rounds count: what starting takes differs by some 100 MB from one run to the next of the same slide.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import machine
import pyarrow.parquet as pq
from growth import check_growth, grown_between
from processes import Measured, classify_command, measured
from slide_files import write_slide

from cancernet_cli.core.cards import read_card, write_card
from cancernet_cli.engine.bench.random_model import random_model

MPP = 0.25


def tiny_model(folder: Path, view_px: int) -> Path:
    """A tiny network with random weights that looks at the slides' own pixels."""
    random_model(folder, "test_efficientnet", view_px)
    card = read_card(folder)
    write_card(replace(card, input=replace(card.input, mpp=MPP)), folder)
    return folder


def main() -> None:
    """Read the command line, run, report; leave with 1 when memory grew, or was too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs=2, default=[6_000, 60_000], metavar=("SMALL", "LARGE"))
    parser.add_argument("--view-px", type=int, default=224)
    parser.add_argument("--workers", default="2", help="as for cancernet")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each slide, turn by turn")
    parser.add_argument("--limit-mb", type=float, default=100.0, help="fail when memory grew by more")
    parser.add_argument("--most-mb", type=float, default=1500.0, help="fail when it was more")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    tiles: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        model = tiny_model(scratch / "tiny", arguments.view_px)
        slides = {side: write_slide(scratch / f"{side}.tif", side, side, mpp=MPP) for side in arguments.sides}
        out = scratch / "predictions.parquet"

        def run(side: int) -> Measured:
            # Small TIFFs, as tests have them, may count as images; a slide is meant
            more = ("--workers", arguments.workers, "--labels", "none", "--kind", "slide")
            taken = measured(classify_command(slides[side], model, out, *more))
            tiles[side] = pq.read_metadata(out.with_suffix(".tiles.parquet")).num_rows
            out.unlink()
            return taken

        found = grown_between(arguments.sides, arguments.rounds, run)

    peaks = {side: {"tiles": tiles[side], **peak} for side, peak in found.pop("peaks").items()}
    result = machine.facts() | {
        "workers": arguments.workers,
        "view_px": arguments.view_px,
        "slides": peaks,
        **found,
    }
    machine.report("memory-slides", result, arguments.out)
    check_growth(found, arguments.limit_mb)
    if peaks[arguments.sides[1]]["peak_tree_mb"] > arguments.most_mb:
        raise SystemExit(f"memory was more than {arguments.most_mb:g} MB")


if __name__ == "__main__":
    main()
