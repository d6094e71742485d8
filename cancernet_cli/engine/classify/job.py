"""Settings of a classify run, resolved and checked before the first file is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cancernet_cli.core.cards import Card, checked_weights, file_sha256, read_card, with_segmenter, without_abstaining
from cancernet_cli.core.errors import InputError, ModelError, OptionError, OutputError
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import ClassifyOptions, flag_name
from cancernet_cli.core.options.base import input_names
from cancernet_cli.data.discovery.endings import registered_endings
from cancernet_cli.data.discovery.inputs import Input, parse_inputs, resolve_base
from cancernet_cli.data.splits.training_images import TrainingImages
from cancernet_cli.engine.provenance import result_state
from cancernet_cli.inference.int8 import Int8Network, find_int8
from cancernet_cli.inference.runtime import Runtime, resolve, with_library
from cancernet_cli.outputs.sink import OpenSink, open_sinks, sinks
from cancernet_cli.outputs.tables.predictions import TABLE_SCHEMA
from cancernet_cli.outputs.tables.spreadsheets import SPREADSHEETS

_OTHER_FORMATS = (".tsv", ".txt", ".json", ".jsonl", ".xls", ".ods", ".feather", ".arrow")


@dataclass(frozen=True)
class Job:
    """A model, a runtime and inputs that fit together.

    base: folder that paths in the table are relative to. folder: the model's. card: with the run's segmenter filled in,
    and without abstention if it is off.
    state: everything the predictions depend on. sinks: those that are written. int8: the quantized network, if the
    precision is int8 and the network exists already. training_images: of the model; None if it does not have them.
    spreadsheet: the CSV or Excel file that `--out` asks for; `options.out` is then the Parquet table next to it.
    """

    inputs: list[Input]
    options: ClassifyOptions
    base: Path
    folder: Path
    card: Card
    runtime: Runtime
    state: dict[str, str]
    sinks: list[OpenSink]
    int8: Int8Network | None = None
    training_images: TrainingImages | None = None
    spreadsheet: Path | None = None

    @property
    def parts_state(self) -> dict[str, str]:
        """What must match before finished parts are reused: columns, `state`, the base folder, what the sinks write."""
        folders, regions = self.options.sink_folders(), self.options.mask_regions
        return {
            "schema": str(TABLE_SCHEMA),
            **self.state,
            "folder": os.fsencode(self.base).decode("utf-8", "backslashreplace"),
            **{name: str(folders[name].resolve()) if name in folders else "" for name in sinks.names()},
            "geojson_regions": self.options.geojson_regions,
            "mask_regions": file_sha256(regions) if regions is not None else "",
        }

    def needs(self, what: str) -> bool:
        """Whether a sink needs "pixels", "mask", "thumbnail" or "explanation"."""
        return any(sink.needs(what) for sink in self.sinks)


def prepare(inputs: str | Path | Sequence[str | Path], options: ClassifyOptions) -> Job:
    """Resolve the inputs, the model and the device.

    Raises:
        CancernetError: one of them does not exist or does not fit the options.
    """
    if not inputs:
        raise InputError(
            "no input was given", fix="pass a folder, a file, a glob pattern, a manifest, or - for standard input"
        )
    parsed = parse_inputs(input_names(inputs))
    check_output_paths(parsed, options)
    spreadsheet = options.out if options.out.suffix.lower() in SPREADSHEETS else None
    if spreadsheet is not None:
        options = replace(options, out=options.out.with_suffix(".parquet"))
        check_output_paths(parsed, options)
    folder, card = open_model(options)
    opened = open_sinks(options)
    for sink in opened:
        if sink.entry.facts.get("requires_segmenter") and card.segmentation.segmenter == "none":
            flag = flag_name(sink.name)
            raise OptionError(f"{flag} was given, but nothing is segmented", fix=f"choose a --segmenter or omit {flag}")
    runtime = with_library(resolve(options, card), options.runtime, card)
    state = result_state(card, folder, options, runtime)
    seen = TrainingImages.read(folder)
    job = Job(
        parsed,
        options,
        resolve_base(parsed),
        folder,
        card,
        runtime,
        state,
        opened,
        training_images=seen,
        spreadsheet=spreadsheet,
    )
    found = find_int8(folder, card) if runtime.precision == "int8" else None
    return with_int8(job, found) if found else job


def open_model(options: ClassifyOptions) -> tuple[Path, Card]:
    """The folder of the model that the options name, and its card with their segmenter and without abstention if off.

    Raises:
        ModelError: it does not exist, is not a classifier, or its weights were changed.
    """
    folder = find_model(options.model)
    card = read_card(folder)
    if card.task != "classify":
        raise ModelError(
            f"{card.name} is a U-Net; use `cancernet segment`",
            fix=f"run cancernet segment --model {options.model}, or choose a classifier (`cancernet models list`)",
        )
    checked_weights(folder, card)
    card = with_segmenter(card, options.segmenter)
    return folder, without_abstaining(card) if options.abstain == "off" else card


def with_int8(job: Job, network: Int8Network) -> Job:
    """The job with the quantized network that its predictions come from."""
    return replace(job, int8=network, state=dict(sorted({**job.state, "int8_sha256": network.sha256}.items())))


def check_output_paths(inputs: Sequence[Input], options: ClassifyOptions) -> None:
    """Check the table's, the metrics' and the sinks' paths; nothing is written.

    Raises:
        OptionError: the table's name promises another format, or two paths collide.
        OutputError: the table's or the metrics' path is a folder.
    """
    out = options.out
    others = {"--metrics": (options.metrics, "metrics.json"), "--report": (options.report_file, "report.html")}
    if out.suffix.lower() in _OTHER_FORMATS:
        raise OptionError(
            f"--out is {str(out)!r}, but the table is written as Parquet, CSV or Excel",
            fix=f"name it {out.with_suffix('.parquet').name}, {out.with_suffix('.csv').name} or "
            f"{out.with_suffix('.xlsx').name}",
        )
    taken: dict[str, str] = {}
    for flag, (file, example) in {"--out": (out, "preds.parquet"), **others}.items():
        if file is None:
            continue
        if file.is_dir():
            raise OutputError(f"{file} is a folder", fix=f"give {flag} a file name, such as {example}")
        other = taken.setdefault(os.path.realpath(file), flag)
        if other != flag:
            raise OptionError(f"{flag} and {other} are both {str(file)!r}", fix="give them different names")
    if any(os.path.realpath(one.location) == os.path.realpath(os.fsencode(out)) for one in inputs):
        raise OptionError(f"--out is {str(out)!r}, which is an input", fix="choose another --out")
    is_input = registered_endings().matcher(slides=True)
    searched = {os.path.realpath(one.location) for one in inputs if one.kind in ("folder", "pattern")}
    for name, folder in options.sink_folders().items():
        suffix = os.fsencode(sinks[name].facts["suffix"])
        if is_input(suffix) and os.path.realpath(os.fsencode(folder)) in searched:
            raise OptionError(
                f"{flag_name(name)} is {str(folder)!r}, an input folder: the next run would classify its files",
                fix="choose a separate folder for it",
            )
