"""Peak memory of `cancernet classify` on a small and on a large slide: it must not grow with the slide.

    python benchmarks/memory_slides.py          # 6,000 x 6,000 and 60,000 x 60,000

The slides are generated, tissue on glass; the large one has some 39,000 tiles of 224 x 224 pixels with tissue, all
read from its finest level. The network is tiny, so that what would grow can be seen, and so that it ends within
minutes. A run before them, in which the network is converted once for all later ones, is not counted. Medians of the
rounds count: what starting takes differs by some 100 MB from one run to the next of the same slide.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import machine
import pyarrow.parquet as pq
from processes import classify_command, measured
from slide_files import write_slide

from cancernet_cli.core.cards import read_card, write_card
from cancernet_cli.engine.bench_model import random_model

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

    runs: dict[int, list[dict[str, float]]] = {side: [] for side in arguments.sides}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        model = tiny_model(scratch / "tiny", arguments.view_px)
        slides = {side: write_slide(scratch / f"{side}.tif", side, side, mpp=MPP) for side in arguments.sides}
        out = scratch / "predictions.parquet"
        for turn, side in enumerate((min(arguments.sides), *(arguments.sides * arguments.rounds))):
            # Small TIFFs, as tests have them, may count as images; a slide is meant
            more = ("--workers", arguments.workers, "--labels", "none", "--kind", "slide")
            taken = measured(classify_command(slides[side], model, out, *more))
            tiles = pq.read_metadata(out.with_suffix(".tiles.parquet")).num_rows
            out.unlink()
            if turn:
                runs[side].append(
                    {
                        "tiles": tiles,
                        "elapsed_s": round(taken.elapsed_s, 1),
                        "peak_rss_mb": round(taken.peak_rss_bytes / 1e6, 1),
                        "peak_tree_mb": round(taken.peak_tree_bytes / 1e6, 1),
                    }
                )

    peaks = {
        side: {name: statistics.median(run[name] for run in runs[side]) for name in runs[side][0]} for side in runs
    }
    small, large = (peaks[side] for side in arguments.sides)
    grown = {f"{name}_grown": round(large[name] - small[name], 1) for name in ("peak_rss_mb", "peak_tree_mb")}
    result = machine.facts() | {
        "workers": arguments.workers,
        "view_px": arguments.view_px,
        "slides": peaks,
        "runs": runs,
        **grown,
    }
    machine.report("memory-slides", result, arguments.out)
    if max(grown.values()) > arguments.limit_mb:
        raise SystemExit(f"memory grew by more than {arguments.limit_mb:g} MB")
    if large["peak_tree_mb"] > arguments.most_mb:
        raise SystemExit(f"memory was more than {arguments.most_mb:g} MB")


if __name__ == "__main__":
    main()
