"""Settings of a segment run, resolved and checked before the first file is read."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cancernet_cli.core.cards import CARD_FILE, Card, InputPolicy, checked_weights, file_sha256, read_card
from cancernet_cli.core.errors import InputError, ModelError, OptionError, OutputError
from cancernet_cli.core.events import Note, Reporter
from cancernet_cli.core.models import bundled_models, find_model
from cancernet_cli.core.options import SegmentOptions
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.discovery.inputs import Input, parse_inputs, resolve_base
from cancernet_cli.data.discovery.names.breakhis import parse_breakhis
from cancernet_cli.data.resolution import UM_TIMES_POWER
from cancernet_cli.data.scales import BREAKHIS_MPP
from cancernet_cli.engine.provenance import labels_state
from cancernet_cli.inference.runtime import Runtime, resolve
from cancernet_cli.outputs.tables.nuclei import NUCLEI_SCHEMA
from cancernet_cli.segmentation import segmenters

SCAN_MPP = 0.25  # of 40x, at which nuclei have the sizes that segmenters without weights assume
_VIEW_UM = 128.0  # side of a view
_VIEW_STEP, _LEAST_VIEW, _MOST_VIEW = 32, 192, 1024
_VIEW_OVERLAP = 0.25
_MOST_VIEWS = 4096


@dataclass(frozen=True)
class SegmentJob:
    """A segmenter, a runtime and inputs that fit together.

    base: folder that paths in the tables are relative to. folder, card: of the U-Net; None without one. policy: how
    images become views. view_mpp: micrometers per pixel of views. state: everything that the tables depend on.
    """

    inputs: list[Input]
    options: SegmentOptions
    base: Path
    folder: Path | None
    card: Card | None
    runtime: Runtime
    policy: InputPolicy
    view_mpp: float
    state: dict[str, str]

    @property
    def name(self) -> str:
        """Name of the model, or of the segmenter without one."""
        return self.card.name if self.card else self.options.segmenter

    @property
    def writes(self) -> dict[str, bool]:
        """Which files are written for each input, by option."""
        names = ("binary_masks", "instances", "geojson", "overlays", "soft_masks")
        return {name: getattr(self.options, name) for name in names}


def prepare(inputs: str | Path | Sequence[str | Path], options: SegmentOptions, report: Reporter) -> SegmentJob:
    """Resolve the inputs, the model and the device.

    Raises:
        CancernetError: one of them does not exist or does not fit the options.
    """
    if not inputs:
        raise InputError("no input was given", fix="pass a folder, a file, a glob pattern, or a manifest")
    parsed = parse_inputs([os.fspath(name) for name in ([inputs] if isinstance(inputs, (str, Path)) else inputs)])
    _check_out(parsed, options)
    folder = card = None
    trained = InputPolicy(scale=1.0, mpp=SCAN_MPP)
    if segmenters[options.segmenter].facts.get("needs_model"):
        folder = find_model(options.model)
        card = read_card(folder)
        if card.task != "segment":
            known = [name for name, found in bundled_models().items() if read_card(found).task == "segment"]
            raise ModelError(
                f"{card.name} is a classifier, not a U-Net",
                fix=f"use `cancernet classify`, or choose a U-Net: {', '.join(known)} or a folder",
            )
        checked_weights(folder, card)
        trained = card.input
        if trained.mpp is None:
            report(Note(f"the card of {card.name} has no mpp; {SCAN_MPP} µm/px (40x) is assumed"))
    elif options.model != type(options)().model:
        raise OptionError(
            f"--model was given, but --segmenter {options.segmenter} uses no model", fix="omit one of them"
        )
    runtime = resolve(options)
    policy = view_policy(trained)
    state = _state(card, folder, options, runtime)
    view_mpp = (trained.mpp or SCAN_MPP) / trained.scale
    return SegmentJob(parsed, options, resolve_base(parsed), folder, card, runtime, policy, view_mpp, state)


def view_policy(trained: InputPolicy) -> InputPolicy:
    """How images become views of the resolution that a U-Net was trained at: resized by their own, and cut in a grid.

    Args:
        trained: of the U-Net's card.
    """
    mpp = trained.mpp or SCAN_MPP
    side = round(_VIEW_UM / (mpp / trained.scale) / _VIEW_STEP) * _VIEW_STEP
    side = min(max(side, _LEAST_VIEW), _MOST_VIEW)
    power = f"{UM_TIMES_POWER / mpp:g}"
    return replace(
        trained,
        view="grid",
        width_px=side,
        height_px=side,
        scales={power: trained.scale},
        magnification_mpp={power: mpp},
        overlap=_VIEW_OVERLAP,
        max_views=_MOST_VIEWS,
        mpp=mpp,
    )


def with_resolution(file: FoundFile, mpp: float | None) -> FoundFile:
    """An image with its resolution, where it is known: `mpp`, the manifest's, or that of its magnification.

    BreakHis names tell the camera's; other magnifications are those of scanners, 10 µm over the power.
    """
    truth = file.truth
    found = mpp or truth.mpp
    if found is None and truth.magnification is not None:
        is_breakhis = parse_breakhis(os.path.basename(file.path)) is not None
        photo = BREAKHIS_MPP.get(truth.magnification) if is_breakhis else None
        found = photo or UM_TIMES_POWER / truth.magnification
    return file if found == truth.mpp else replace(file, truth=replace(truth, mpp=found))


def _state(card: Card | None, folder: Path | None, options: SegmentOptions, runtime: Runtime) -> dict[str, str]:
    state = {
        "columns": str(NUCLEI_SCHEMA),
        "model": card.name if card else "",
        "model_card_sha256": file_sha256(folder / CARD_FILE) if folder else "",
        "model_weights_sha256": card.weights.sha256 if card else "",
        **options.result_options(),
        "precision": runtime.precision,
        "labels": labels_state(options.labels),
        "regions": file_sha256(options.regions) if options.regions is not None else "",
    }
    return {
        name: value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in sorted(state.items())
    }


def _check_out(inputs: Sequence[Input], options: SegmentOptions) -> None:
    """Raises OutputError if the output folder is a file or an input, and InputError if the regions do not exist."""
    out = options.out
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file", fix="give --out a folder")
    if os.fsencode(os.path.realpath(out)) in {os.path.realpath(one.location) for one in inputs}:
        raise OptionError(f"--out is {str(out)!r}, an input folder", fix="choose a separate folder")
    if options.regions is not None and not options.regions.is_file():
        raise InputError(f"{options.regions} does not exist", fix="give --regions a CSV or Parquet file")
