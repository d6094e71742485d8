"""Retrain a bundled model with the command in its card: time, accuracy, and whether the weights are the same.

    python benchmarks/train_bundled.py data/breakhis/manifest.csv
    python benchmarks/train_bundled.py data/tnbc/manifest.csv --model tnbc_unet

Metrics are out-of-fold, with intervals over patients. Weights differ from the bundled ones on another processor, with
other versions, or after a change since the model was trained.
"""

from __future__ import annotations

import argparse
import json
import shlex
import tempfile
from pathlib import Path
from typing import Any

import machine
from processes import CANCERNET, measured

from cancernet_cli.core.cards import Card, read_card
from cancernet_cli.core.models import DEFAULT_MODEL, find_model

OWN = (
    "--out",
    "--about",
)  # options of the card's command that are replaced: the output folder and the text of the model


def command_of(card: Card, data: str, folder: Path, out: Path) -> list[str]:
    """The command in the card of the model in `folder`, with this run's data and output folder."""
    words = iter(shlex.split(card.training.command)[2:])
    kept: list[str] = []
    next(words)  # the data
    for word in words:
        if word in OWN:
            next(words)
        else:
            kept.append(word)
    about = folder / "about.toml"
    kept += ["--about", str(about)] if about.is_file() else []
    return [*CANCERNET, "finetune", data, *kept, "--out", str(out), "--format", "json"]


def main() -> None:
    """Train, and compare the metrics of the new card with those of the bundled one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    facts = machine.facts()
    bundled = find_model(arguments.model)
    card = read_card(bundled)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / card.name
        run = measured(command_of(card, arguments.data, bundled, out))
        trained = read_card(out)
    result: dict[str, Any] = {
        **facts,
        "model": card.name,
        "card_command": card.training.command,
        "seed": trained.training.seed,
        "splits": trained.training.splits,
        "elapsed_s": round(run.elapsed_s, 1),
        "training_s": round(json.loads(run.stdout)["elapsed_s"], 1),
        "peak_rss_mb": round(run.peak_rss_bytes / 1e6),
        "peak_tree_mb": round(run.peak_tree_bytes / 1e6),
        "same_weights_as_bundled": trained.weights.sha256 == card.weights.sha256,
        "metrics": trained.metrics,
        "bundled_metrics": card.metrics,
    }
    machine.report(f"train-{card.name}", result, arguments.out)


if __name__ == "__main__":
    main()
