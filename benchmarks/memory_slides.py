"""Check that peak memory of `cancernet classify` does not grow with the size of the slide.

    python benchmarks/memory_slides.py          # 6,000 x 6,000 and 60,000 x 60,000

The slides are generated, tissue on glass; the large one has about 39,000 tissue tiles of 224 x 224 pixels, all read
from its finest level. The network is tiny, so that any growth is visible and the benchmark takes minutes. A first run,
in which the network is converted once for all later ones, is not counted. Medians of the rounds are compared, since the
memory at start-up varies by about 100 MB between runs.
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
    """Write a tiny network with random weights for the slides' native resolution."""
    random_model(folder, "test_efficientnet", view_px)
    card = read_card(folder)
    write_card(replace(card, input=replace(card.input, mpp=MPP)), folder)
    return folder


def main() -> None:
    """Parse arguments, run and report; exit with 1 if memory grew or exceeded the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs=2, default=[6_000, 60_000], metavar=("SMALL", "LARGE"))
    parser.add_argument("--view-px", type=int, default=224)
    parser.add_argument("--workers", default="2", help="workers of cancernet classify")
    parser.add_argument("--rounds", type=int, default=3, help="alternating runs of each slide")
    parser.add_argument("--limit-mb", type=float, default=100.0, help="fail if memory grows by more")
    parser.add_argument("--most-mb", type=float, default=1500.0, help="fail if memory exceeds this")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    tiles: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        model = tiny_model(scratch / "tiny", arguments.view_px)
        slides = {side: write_slide(scratch / f"{side}.tif", side, side, mpp=MPP) for side in arguments.sides}
        out = scratch / "predictions.parquet"

        def run(side: int) -> Measured:
            # Small TIFFs, as in tests, may count as images, but a slide is meant
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
        raise SystemExit(f"memory exceeded {arguments.most_mb:g} MB")


if __name__ == "__main__":
    main()
