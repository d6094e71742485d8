"""Compare `cancernet classify` with a plain script on the same folder, network and weights, in alternating rounds.

    python benchmarks/compare_plain.py FOLDER                      # ResNet50, random weights, 224 x 224
    python benchmarks/compare_plain.py FOLDER --model breakhis_lite0
    python benchmarks/compare_plain.py FOLDER --files 200          # on 200 links to FOLDER's images

Each is timed twice: as a whole process, and without Python's imports (by the tool's own clock).
First, both classify images that need no resizing: their probabilities must agree within 1e-4 (typically 1e-5; a network
with random weights amplifies rounding). On the folder itself the difference is larger if images are resized, since
Pillow resizes with antialiased bilinear interpolation and OpenCV with area means; the result contains it.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import machine
import numpy as np
import pyarrow.parquet as pq
from folders import images_below, links_of_one_size, random_model
from processes import classify_command, measured

from cancernet_cli.core.cards import Card, read_card
from cancernet_cli.core.models import find_model

PLAIN = Path(__file__).with_name("plain_script.py")
TOLERANCE = 1e-4
AGREEMENT_IMAGES = 24


def run_plain(
    folder: Path, model: Path, scratch: Path, device: str, workers: int
) -> tuple[dict[str, float], np.ndarray]:
    """Times of the plain script, and its probabilities `[N, K]` in path order."""
    out = scratch / "plain.csv"
    command = [sys.executable, PLAIN, folder, "--model", model, "--out", out, "--device", device, "--workers", workers]
    taken = measured([*map(str, command)])
    with out.open(newline="") as file:
        rows = sorted(list(csv.reader(file))[1:], key=lambda row: row[0].encode())
    probs = np.array([row[1:] for row in rows], np.float64)
    return {"process_s": taken.elapsed_s, "work_s": float(json.loads(taken.stdout)["elapsed_s"])}, probs


def run_cancernet(
    folder: Path, model: Path, scratch: Path, device: str, *more: str
) -> tuple[dict[str, float], np.ndarray]:
    """Times of `cancernet classify` with additional flags, and its probabilities `[N, K]` in path order."""
    out = scratch / "cancernet.parquet"
    out.unlink(missing_ok=True)
    taken = measured(classify_command(folder, model, out, "--device", device, "--labels", "none", *more))
    table = pq.read_table(out)
    probs = np.stack([table[name].to_numpy() for name in table.column_names if name.startswith("prob_")], axis=1)
    run = json.loads(out.with_suffix(".run.json").read_text("utf-8"))
    return {"process_s": taken.elapsed_s, "work_s": float(run["elapsed_s"])}, probs


def agreement_folder(folder: Path, card: Card, scratch: Path) -> Path:
    """Write some of the images as PNGs of exactly the size of a view."""
    made = scratch / "agreement"
    made.mkdir()
    for i, path in enumerate(images_below(folder)[:AGREEMENT_IMAGES]):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert image is not None, path
        sized = cv2.resize(image, (card.input.width_px, card.input.height_px), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(made / f"{i:04d}.png"), sized)
    return made


def figures(times: list[dict[str, float]], files: int) -> dict[str, Any]:
    """Images per second, from the median of the rounds."""
    found: dict[str, Any] = {"rounds": times}
    for clock in ("process_s", "work_s"):
        found[clock.replace("_s", "_images_per_s")] = round(files / statistics.median(t[clock] for t in times), 2)
    return found


def main() -> None:
    """Parse arguments, run the comparison and report it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", help="bundled model or model folder; default: a ResNet50 with random weights")
    parser.add_argument("--files", type=int, help="number of links to images of the most common size to measure on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain-workers", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        random = scratch / "resnet50_random"
        model = find_model(arguments.model) if arguments.model else random_model(random, "resnet50", 224)
        card = read_card(model)
        device, workers = arguments.device, arguments.plain_workers

        small = agreement_folder(arguments.folder, card, scratch)
        ours, theirs = (
            run_cancernet(small, model, scratch, device)[1],
            run_plain(small, model, scratch, device, workers)[1],
        )
        apart = float(np.abs(ours - theirs).max())
        if not apart <= TOLERANCE:  # also true for NaN, where a file failed
            raise SystemExit(
                f"probabilities differ by {apart:.2g}, more than {TOLERANCE:g}: the tools do not compute the same"
            )

        folder = links_of_one_size(arguments.folder, arguments.files, scratch) if arguments.files else arguments.folder
        times: dict[str, list[dict[str, float]]] = {"cancernet": [], "plain": []}
        for turn in range(arguments.rounds):
            for tool in sorted(times, reverse=bool(turn % 2)):  # alternate the order, so that neither benefits
                if tool == "cancernet":
                    taken, ours = run_cancernet(folder, model, scratch, device)
                else:
                    taken, theirs = run_plain(folder, model, scratch, device, workers)
                times[tool].append({name: round(value, 3) for name, value in taken.items()})

    both = {tool: figures(taken, len(ours)) for tool, taken in times.items()}
    ratio = {
        f"{clock}_ratio": round(both["cancernet"][clock] / both["plain"][clock], 3)
        for clock in ("process_images_per_s", "work_images_per_s")
    }
    result = machine.facts() | {
        "files": len(ours),
        "model": card.name,
        "network": card.architecture.backbone,
        "segmenter": card.segmentation.segmenter,
        "view": f"{card.input.view} {card.input.width_px} x {card.input.height_px}",
        "spread": {"largest": float(ours[:, 0].max()), "smallest": float(ours[:, 0].min())},
        "largest_difference_without_resizing": apart,
        "largest_difference_on_folder": float(np.abs(ours - theirs).max()),
        **both,
        **ratio,
    }
    machine.report(f"plain-{card.name}", result, arguments.out)


if __name__ == "__main__":
    main()
