"""The checkpoints of a run, in a folder next to the model's until the model is written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cancernet_cli import __version__
from cancernet_cli.core.machine.system import package_versions
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.options.recipes import Recipe
from cancernet_cli.core.records import FoundFile
from cancernet_cli.engine.finetune.model_folder import work_folder
from cancernet_cli.inference.runtime import Runtime
from cancernet_cli.training.checkpoints import CheckpointFile
from cancernet_cli.training.distributed import Processes

# Options that do not affect the weights.
WITHOUT_EFFECT = {
    "out",
    "overwrite",
    "about",
    "tensorboard",
    "workers",
    "file_timeout",
    "also_segmenters",
    "device",
    "precision",
}
# Packages whose version may affect the weights.
PACKAGES = ("opencv-python-headless", "numpy", "segmentation-models-pytorch", "timm", "torch", "torchvision")


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, one file per training.

    key: a digest of options, recipe, data and versions. replace: start from scratch if they belong to another run.
    """

    folder: Path
    key: str
    replace: bool

    def of(self, split: str, start: Mapping[str, Tensor], *facts: object) -> CheckpointFile:
        """The checkpoint of one training, such as `fold_0` or `final`.

        Args:
            start: initial weights. facts: what else the training depends on.
        """
        digest = hashlib.sha256(f"{self.key}\n{split}\n{facts!r}\n".encode())
        digest.update(weights_digest(start).encode())
        return CheckpointFile(self.folder / f"{split}.pt", digest.hexdigest(), self.replace)


def open_checkpoints(
    options: FinetuneOptions, recipe: Recipe, data: Iterable[object], runtime: Runtime, processes: Processes
) -> Checkpoints:
    """The checkpoints of a run with these options and data; nothing is written yet.

    Args:
        data: what distinguishes one set of training data from another, such as `file_facts` of each file.
    """
    given = {name: value for name, value in dataclasses.asdict(options).items() if name not in WITHOUT_EFFECT}
    facts: dict[str, Any] = {
        "options": given,
        "recipe": dataclasses.asdict(recipe),
        "device": runtime.device.type,
        "precision": runtime.precision,
        "processes": processes.count,
        "versions": {"cancernet": __version__, **package_versions(*PACKAGES)},
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for fact in data:
        digest.update(f"{fact!r}\n".encode())
    return Checkpoints(work_folder(options), digest.hexdigest(), options.overwrite)


def file_facts(file: FoundFile) -> tuple[object, ...]:
    """What identifies a labelled file and its contents: path, size, time, label, patient, magnification and mpp."""
    truth = file.truth
    return file.path, file.size_bytes, file.mtime_ns, truth.label, truth.patient, truth.magnification, truth.mpp


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors and their names, in order of the names."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def path_facts(path: Path) -> tuple[object, ...]:
    """What identifies a path and its contents; a missing file is reported when it is read."""
    try:
        status = path.stat()
    except OSError:
        return (str(path),)
    return str(path), status.st_size, status.st_mtime_ns
