"""What a classify run is about to do, settled before the first file is touched."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cancernet_cli.core.cards import Card, checked_weights, file_sha256, read_card, with_segmenter
from cancernet_cli.core.errors import InputError, ModelError, OptionError
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.engine.classify.output_paths import check_places
from cancernet_cli.engine.provenance import result_state
from cancernet_cli.inference.int8 import int8_file, int8_sha256
from cancernet_cli.inference.runtime import Runtime, resolve, with_library


@dataclass(frozen=True)
class Job:
    """A model, a runtime and inputs that fit together.

    `card` has the run's segmenter filled in. `state` is everything that the rows depend on. `int8` is the quantised
    network where the precision asks for one and it has been made.
    """

    inputs: list[str]
    options: ClassifyOptions
    base: Path
    folder: Path
    card: Card
    runtime: Runtime
    state: dict[str, str]
    int8: Path | None = None

    @property
    def parts_state(self) -> dict[str, str]:
        """What must agree before finished parts are used again: also the folder, and what is written beside."""
        beside = {name: str(path.resolve()) if path else "" for name, path in self.side_folders.items()}
        beside |= {"geojson_regions": self.options.geojson_regions, "mask_regions": self._mask_regions}
        return {**self.state, "folder": os.fsencode(self.base).decode("utf-8", "backslashreplace"), **beside}

    @property
    def side_folders(self) -> dict[str, Any]:
        """Where files beside the table go, a path or None, by what they are."""
        names = ("overlays", "masks", "geojson", "heatmaps", "probability_maps")
        return {name: getattr(self.options, name) for name in names}

    @property
    def _mask_regions(self) -> str:
        file = self.options.mask_regions
        return file_sha256(file) if file is not None else ""


def prepare(inputs: str | Path | Sequence[str | Path], options: ClassifyOptions) -> Job:
    """Settle the model, the device and the folder that paths are relative to.

    Raises:
        CancernetError: one of them is not there or does not fit the options.
    """
    if not inputs:
        raise InputError(
            "no input was given", fix="name a folder, a file, a glob pattern, a manifest, or - for standard input"
        )
    names = [os.fspath(name) for name in ([inputs] if isinstance(inputs, (str, Path)) else inputs)]
    check_places(names, options)
    folder = find_model(options.model)
    card = read_card(folder)
    if card.task != "classify":
        raise ModelError(
            f"{card.name} is a model for {card.task}ing", fix="choose a classifier; `cancernet models list` shows them"
        )
    checked_weights(folder, card)
    card = with_segmenter(card, options.segmenter)
    if options.masks and card.segmentation.segmenter == "none":
        raise OptionError(
            "--masks was given, but nothing is segmented", fix="choose a --segmenter, or leave --masks away"
        )
    runtime = with_library(resolve(options, card), options.runtime, card)
    state = result_state(card, folder, options, runtime)
    job = Job(names, options, resolve_base(names), folder, card, runtime, state)
    found = int8_file(folder, card) if runtime.precision == "int8" else None
    return with_int8(job, found) if found else job


def with_int8(job: Job, path: Path) -> Job:
    """The job with the quantised network that its rows come from."""
    return replace(job, int8=path, state=dict(sorted({**job.state, "int8_sha256": int8_sha256(path)}.items())))
