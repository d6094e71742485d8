"""The cells of a comparison, the settings of each, and which are already finished."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cancernet_cli import __version__
from cancernet_cli.classification import build_backbone
from cancernet_cli.core.cards import file_sha256, read_card
from cancernet_cli.core.errors import OptionError, OutputError
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import CompareOptions
from cancernet_cli.core.options.recipes import RECIPES, Recipe
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.engine.finetune.frozen.features import files_digest
from cancernet_cli.inference.runtime import Runtime
from cancernet_cli.outputs.tables.workspace import describe_difference
from cancernet_cli.segmentation import segmenters

CELL_FILE = "cell.json"
# Handcrafted features and the classifier on them.
BASELINES = (("colour", "logistic"), ("texture", "svm"), ("texture", "naive-bayes"))


@dataclass(frozen=True)
class Cell:
    """One row of the table.

    network: a backbone, or the handcrafted features of a baseline. segmenter: `none` for a baseline. classifier: its
    learner on the features. weights: the initial weights of the backbone: `imagenet`, `none` or a file.
    """

    network: str
    segmenter: str
    classifier: str
    is_baseline: bool = False
    weights: str = ""

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.network}-{self.classifier if self.is_baseline else self.segmenter}".replace("/", "_")


def comparison_recipe(options: CompareOptions) -> Recipe:
    """The recipe of the cells, with the values of options that override it; each cell has its own backbone."""
    recipe = replace(RECIPES[options.recipe], backbone="")
    if options.background_weight is not None:
        recipe = replace(recipe, background_weight=options.background_weight)
    return recipe if options.epochs is None else replace(recipe, epochs=options.epochs)


def list_cells(options: CompareOptions) -> list[Cell]:
    """Every network with every segmenter, then the baselines.

    Raises:
        ModelError: a network, a segmenter or the U-Net is unknown.
        OptionError: an empty list, a name that is repeated, or an invalid --weights.
    """
    recipe = comparison_recipe(options)
    backbones, names = _names("--backbones", options.backbones), _names("--segmenters", options.segmenters)
    for backbone in backbones:
        with torch.device("meta"):  # only whether it can be built; no weights are drawn
            build_backbone(backbone, recipe.levels)
    for name in names:
        if segmenters[name].facts.get("needs_model"):
            find_model(options.segmentation_model)
    weights = requested_weights(options.weights, backbones)
    classifier = "softmax" if recipe.fit == "adam" else "logistic"
    cells = [Cell(backbone, name, classifier, weights=weights[backbone]) for backbone in backbones for name in names]
    if options.baselines:
        cells += [Cell(kind, "none", learner, is_baseline=True) for kind, learner in BASELINES]
    return cells


def requested_weights(text: str, backbones: Iterable[str]) -> dict[str, str]:
    """The initial weights of each backbone by `--weights`: `imagenet`, `none` or a file.

    Raises:
        OptionError: an invalid pair, a network that is not compared, or a file that does not exist.
    """
    if text in ("imagenet", "none"):
        return dict.fromkeys(backbones, text)
    found = dict.fromkeys(backbones, "imagenet")
    for pair in text.split(","):
        name, is_pair, file = (word.strip() for word in pair.partition("="))
        if not is_pair or not file:
            raise OptionError(
                f"invalid --weights entry {pair.strip()!r}",
                fix="give imagenet, none, or name=file pairs, comma-separated",
            )
        if name not in found:
            raise OptionError(f"--weights names {name!r}, which is not compared", fix="add it to --backbones")
        if file not in ("imagenet", "none") and not Path(file).is_file():
            raise OptionError(f"--weights {name}={file}: file not found", fix="correct the path")
        found[name] = file
    return found


def decided_by(cell: Cell, images: LabelledImages, options: CompareOptions, runtime: Runtime) -> dict[str, Any]:
    """Everything that the figures of a cell depend on, as JSON."""
    found: dict[str, Any] = {
        "version": __version__,
        "data": _data_digest(images),
        "classes": images.classes,
        "seed": options.seed,
        "leaking": options.leaking,
        "max_megapixels": options.max_megapixels,
        "features": cell.network,
        "classifier": cell.classifier,
    }
    if not cell.is_baseline:
        recipe = {name: value for name, value in asdict(comparison_recipe(options)).items() if name != "backbone"}
        is_file = cell.weights not in ("imagenet", "none")
        needs_model = segmenters[cell.segmenter].facts.get("needs_model")
        found |= {
            **recipe,
            "segmenter": cell.segmenter,
            "segmentation_weights": read_card(find_model(options.segmentation_model)).weights.sha256
            if needs_model
            else "",
            "weights": "sha256:" + file_sha256(Path(cell.weights)) if is_file else cell.weights,
            "precision": runtime.precision,
        }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def read_cell(folder: Path) -> dict[str, Any] | None:
    """The results of a cell; None if it is not finished."""
    try:
        found = json.loads((folder / CELL_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def finished_cells(wanted: dict[str, dict[str, Any]], folder: Path, *, overwrite: bool) -> dict[str, dict[str, Any]]:
    """The finished cells in `folder`, by name, that can be used again.

    Args:
        wanted: a cell's name to its current settings (`decided_by`).

    Raises:
        OutputError: one was made with other options and `overwrite` is off.
    """
    found = {}
    for name, key in wanted.items():
        cell = read_cell(folder / name)
        if cell is None:
            continue
        old = cell.get("decided_by", {})
        if old == key:
            found[name] = cell
        elif not overwrite:
            raise OutputError(
                f"{folder / name} was made with {describe_difference(old, key)}",
                fix="use the same options, pass --overwrite to compute it again, or choose another --out",
            )
    return found


def _names(flag: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or len(set(names)) != len(names):
        raise OptionError(f"{flag} is {text!r}", fix="give one or more distinct names, comma-separated")
    return names


def _data_digest(images: LabelledImages) -> str:
    """SHA-256 of the files, their labels, patients and folds."""
    splits = images.folds if images.splits is None else images.splits
    rows = zip(images.labels.tolist(), images.patients.tolist(), splits.tolist(), strict=True)
    digest = hashlib.sha256(files_digest(images.files).encode())
    digest.update(json.dumps([*rows, *images.leaks]).encode())
    return digest.hexdigest()
