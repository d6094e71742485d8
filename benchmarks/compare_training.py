"""Compare `cancernet finetune --unfreeze` with a plain loop: same images, network, layers, batch size, augmentation.

    python benchmarks/compare_training.py FOLDER

Each round runs both in separate processes, in alternating order. The first two steps of each are not counted. CancerNet
does more per step: weight averaging, gradient clipping, and a seed for every view.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import machine
from folders import images_below
from plain_training import WARM_UP

PLAIN = Path(__file__).with_name("plain_training.py")


class Enough(Exception):
    """Raised when the requested number of steps is done."""


def run_ours(folder: Path, model: str, steps: int, batch: int, unfreeze: int, device: str) -> float:
    """Images per second of `engine.finetune.tuned_backbone.Tuner.tune`, over `steps` steps."""
    import numpy as np

    from cancernet_cli.classification import Classifier
    from cancernet_cli.core.cards import read_card
    from cancernet_cli.core.events import Event, StageAdvanced
    from cancernet_cli.core.models import find_model
    from cancernet_cli.core.options import FinetuneOptions
    from cancernet_cli.core.options.recipes import recipe_of
    from cancernet_cli.core.records import FoundFile
    from cancernet_cli.data.splits.folds import SplitPart
    from cancernet_cli.engine.finetune.checkpoints import open_checkpoints
    from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
    from cancernet_cli.engine.finetune.job import FinetuneJob
    from cancernet_cli.engine.finetune.tuned_backbone import Tuner
    from cancernet_cli.inference.pipeline import load_pipeline
    from cancernet_cli.inference.runtime import resolve
    from cancernet_cli.training.distributed import ALONE

    paths = images_below(folder)
    files = [FoundFile(path.name, os.fsencode(path.absolute()), 0, 0) for path in paths]
    names, zeros = np.array([path.name for path in paths]), np.zeros(len(files))
    images = LabelledImages(
        files=files,
        classes=("benign", "malignant"),
        labels=np.arange(len(files)) % 2,
        patients=names,
        unknown_patients=zeros.astype(bool),
        slides=names,
        magnifications=zeros,
        groups=names,
        folds=zeros.astype(np.int64),
    )
    rows = np.resize(np.arange(len(files)), (WARM_UP + steps) * batch)
    nobody = np.empty(0, np.int64)
    ends: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, StageAdvanced):
            ends.append(time.perf_counter())
            if len(ends) == WARM_UP + steps:
                raise Enough

    where = find_model(model)
    card = read_card(where)
    pipeline = load_pipeline(where, card)
    with tempfile.TemporaryDirectory() as temporary:
        options = FinetuneOptions(
            out=Path(temporary) / "model", unfreeze=unfreeze, epochs=1, batch_size=batch, device=device
        )
        recipe, runtime = recipe_of(options), resolve(options)
        with contextlib.suppress(Enough):
            job = FinetuneJob((), options, recipe, runtime, ALONE, note)
            checkpoints = open_checkpoints(options, recipe, (), runtime, ALONE)
            start = cast(Classifier, pipeline.classifier)
            tuner = Tuner(images, card, pipeline.segmenter, start, job, checkpoints)
            tuner.tune(SplitPart("final", rows, nobody, nobody))
    return steps * batch / (ends[-1] - ends[WARM_UP - 1])


def images_per_s(command: list[str], ours: bool) -> float:
    """The rate reported by one process; CancerNet runs in the environment set by its command line."""
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ} if ours else dict(os.environ)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout)["images_per_s"])


def main() -> None:
    """Parse arguments, run the comparison and report it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="breakhis_lite0", help="network and initial weights of both")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--unfreeze", type=int, default=2)
    parser.add_argument("--plain-workers", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ours:
        speed = run_ours(given.folder, given.model, given.steps, given.batch_size, given.unfreeze, given.device)
        print(json.dumps({"images_per_s": speed}))
        return

    same = [given.folder.absolute(), "--model", given.model, "--steps", given.steps, "--batch-size", given.batch_size]
    same += ["--unfreeze", given.unfreeze, "--device", given.device]
    calls = {
        "cancernet": [sys.executable, __file__, *same, "--ours"],
        "plain": [sys.executable, PLAIN, *same, "--workers", given.plain_workers],
    }
    rounds: list[dict[str, float]] = []
    for turn in range(given.rounds):
        taken = {}
        for tool in sorted(calls, reverse=bool(turn % 2)):  # alternate the order, so that neither benefits
            taken[tool] = round(images_per_s([*map(str, calls[tool])], tool == "cancernet"), 3)
        rounds.append(taken | {"ratio": round(taken["cancernet"] / taken["plain"], 3)})

    ratios = [found["ratio"] for found in rounds]
    result: dict[str, Any] = machine.facts() | {
        "files": len(images_below(given.folder)),
        "model": given.model,
        "batch_size": given.batch_size,
        "steps": given.steps,
        "unfreeze": given.unfreeze,
        "rounds": rounds,
        "cancernet_images_per_s": statistics.median(found["cancernet"] for found in rounds),
        "plain_images_per_s": statistics.median(found["plain"] for found in rounds),
        "images_per_s_ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [min(ratios), max(ratios)],
    }
    machine.report("training", result, given.out)


if __name__ == "__main__":
    main()
