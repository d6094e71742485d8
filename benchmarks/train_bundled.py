"""Train a bundled model again by the command on its card: how long it takes, how good it is, whether it is the same.

    python benchmarks/train_bundled.py data/breakhis/manifest.csv
    python benchmarks/train_bundled.py data/tnbc/manifest.csv --model tnbc_unet

Figures are those of folds that the weights had not seen, with intervals over patients. Weights that differ from the
bundled ones come from another processor, other versions, or a change that the model was not trained again for.
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

OWN = ("--out", "--about")  # of the card's command; here they name this run's folder and the model's own text


def command_of(card: Card, data: str, folder: Path, out: Path) -> list[str]:
    """The command on the card of the model in `folder`, with data and a place of this run."""
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
    """Train, and set the new card's figures beside the bundled one's."""
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
