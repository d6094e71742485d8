"""The files to train a classifier on: those with a wanted label and magnification."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cancernet_cli.core.errors import InputError, OptionError
from cancernet_cli.core.events import Note, Reporter, Warn
from cancernet_cli.core.figures import counted
from cancernet_cli.core.options import LearningOptions
from cancernet_cli.core.options.shared.tiling import without_slides
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.inputs import Input, parse_inputs, resolve_base
from cancernet_cli.data.discovery.labels import NameLabels
from cancernet_cli.data.discovery.layout import Layout
from cancernet_cli.data.discovery.manifest import DEFAULT_RULE, LabelRule
from cancernet_cli.data.discovery.names.breakhis import SUBTYPES
from cancernet_cli.data.discovery.names.idc import IDC_CLASSES, parse_idc
from cancernet_cli.data.discovery.patients import PatientPattern
from cancernet_cli.engine.finetune.dataset.slides import SlideCutter, TileFacts
from cancernet_cli.engine.finetune.model_folder import work_folder


@dataclass(frozen=True)
class Listing:
    """N files in path order, each with one of the classes.

    sources: absolute paths as in manifests: the file's or, for a tile, its slide's. tiles: facts about the tiles; None
    if there are none.
    """

    files: list[FoundFile]
    classes: tuple[str, ...]
    sources: list[bytes]
    tiles: TileFacts | None = None


@dataclass(frozen=True)
class DataSource:
    """The inputs of a training, parsed once.

    base: the folder that paths are relative to. lists: manifests and, where `--labels` names one, the label file.
    """

    inputs: list[Input]
    base: Path
    lists: list[Path]


def open_source(data: Sequence[str], options: LearningOptions) -> DataSource:
    """Parse the inputs.

    Raises:
        InputError: there is none, or one does not exist.
    """
    inputs = parse_inputs(data)
    lists = [Path(os.fsdecode(one.location)) for one in inputs if one.kind == "manifest"]
    if options.labels not in ("auto", "none", "folders", "breakhis"):
        lists.append(Path(options.labels))
    return DataSource(inputs, resolve_base(inputs), lists)


def labelled_files(
    source: DataSource, options: LearningOptions, report: Reporter, cutter: SlideCutter | None = None
) -> Listing:
    """The labelled files of the wanted magnifications; slides become the tiles that `cutter` makes.

    With --target subtype and no --classes, the classes are the subtypes present.

    Args:
        cutter: None treats no file as a slide.

    Raises:
        InputError: no image is left, or a class has none.
        OptionError: --classes or --magnification is invalid.
    """
    classes = _classes(options)
    layout, files = _openable(source, classes, options, report, cutter)
    if not options.classes and options.target == "binary":
        is_numbered = layout is not None and layout.numbered
        if options.labels == "auto" and (patches := _idc_patches(files, is_numbered=is_numbered)):
            classes, files = IDC_CLASSES, patches
            report(Note(f"the files are named as IDC patches: the classes are {' and '.join(classes)}"))
        elif is_numbered:
            raise _nothing_labelled(classes, layout)
    images = [file for file in files if file.kind == "image"]
    labelled = [file for file in images if file.truth.label is not None]
    if others := len(images) - len(labelled):
        report(
            Note(f"{others} of {len(images)} images are omitted: no label, or a label other than {', '.join(classes)}")
        )
    chosen = _magnified(labelled, options, report) if labelled else []
    sources = {file.path: file.location for file in chosen}
    slides = [file for file in files if file.kind == "slide"]
    # `kind` decides what is a slide, and the card records `mpp`
    if cutter and not slides and (idle := sorted({*cutter.options.changed("Slides")} - {"kind", "mpp"})):
        report(Warn(without_slides(idle)))
    tiles = cutter.tiles(slides, chosen, classes) if cutter and slides else None
    if tiles is not None:
        chosen = sorted([*chosen, *tiles.files], key=lambda file: file.path)
        sources |= {file.path: source for file, source in zip(tiles.files, tiles.sources, strict=True)}
    if not chosen:
        raise _nothing_labelled(classes, layout)
    _check_layout(chosen, layout, options, report)
    present = {file.truth.label for file in chosen}
    if options.target == "subtype" and not options.classes:
        classes = tuple(name for name in classes if name in present)
    if missing := [name for name in classes if name not in present]:
        raise InputError(f"no image is labeled {missing[0]!r}", fix="correct --classes or the labels")
    return Listing(chosen, classes, [sources[file.path] for file in chosen], tiles.facts if tiles else None)


def _openable(
    source: DataSource,
    classes: tuple[str, ...],
    options: LearningOptions,
    report: Reporter,
    cutter: SlideCutter | None,
) -> tuple[Layout | None, list[FoundFile]]:
    """How the folders are arranged, if they are labels, and the files that can be opened, each once, in path order."""
    layouts: list[Layout] = []
    columns = (("subtype",) if options.target == "subtype" else ()) + DEFAULT_RULE.columns
    # With --classes or subtypes, files with other labels are omitted rather than refused.
    rule = LabelRule(columns, refuse_others=not options.classes and options.target == "binary")
    found = discover(
        source.inputs,
        base=source.base,
        labels=options.labels,
        classes=classes,
        rule=rule,
        kind=cutter.options.kind if cutter else "image",
        exclude=(cutter.options.out, work_folder(cutter.options)) if cutter else (),
        on_problem=lambda message: report(Warn(message)),
        on_layout=layouts.append,
        on_passed_over=lambda message: report(Note(message)),
        timeout_s=options.file_timeout,
    )
    once: dict[bytes, FoundFile] = {}
    for file in found:
        once.setdefault(file.location, file)  # the first has the most metadata
    everything = sorted(once.values(), key=lambda file: file.path)
    if problems := [file for file in everything if file.problem is not None]:
        first = f"{problems[0].path}: {problems[0].problem}"
        report(Warn(f"{counted(len(problems), 'file')} omitted because unreadable; the first: {first}"))
    patients = PatientPattern(options.patient_pattern)
    files = [patients.named(file) for file in everything if file.problem is None]
    patients.check(lambda message: report(Warn(message)))
    if options.target == "subtype" and options.labels == "auto":
        # A list without subtypes leaves them to file names and folders.
        names = NameLabels(source.base, classes, use_name=True, use_folder=True)
        files = [
            file
            if file.truth.label
            else replace(file, truth=replace(file.truth, label=names.truth(file.location).label))
            for file in files
        ]
    return next(iter(layouts), None), files


def _idc_patches(files: list[FoundFile], *, is_numbered: bool) -> list[FoundFile]:
    """The files with the labels of their IDC file names; empty unless all have such names and no other labels.

    Args:
        is_numbered: the labels are numbers of folders, which the names of the classes do not belong to.
    """
    if any(file.truth.label for file in files) and not is_numbered:
        return []
    names = [parse_idc(os.path.basename(file.path)) for file in files]
    labelled = [
        replace(file, truth=replace(file.truth, label=name.label))
        for file, name in zip(files, names, strict=True)
        if name is not None
    ]
    return labelled if len(labelled) == len(files) else []


def _nothing_labelled(classes: tuple[str, ...], layout: Layout | None) -> InputError:
    folders = layout.others if layout else ()
    message = f"no image has any of the labels {', '.join(classes)}"
    if folders:
        message += f"; the images are in folders named {', '.join(folders)}"
    if len(folders) > 1 and all(name.isdecimal() for name in folders):
        return InputError(message, fix="name the classes in the order of these numbers, as in --classes non_idc,idc")
    return InputError(
        message, fix="sort them into folders with these names, list their labels, or name your labels with --classes"
    )


def _check_layout(files: list[FoundFile], layout: Layout | None, options: LearningOptions, report: Reporter) -> None:
    """Say how folders are read.

    Raises:
        InputError: it cannot be told which folders are patients, and nothing else names them.
    """
    if layout is None:
        return
    for words in filter(None, (layout.numbers_read if options.classes else "", layout.patients_read)):
        report(Note(words))
    without = next((file for file in files if file.truth.patient is None), None)
    if layout.ambiguity and without is not None:
        raise InputError(
            layout.ambiguity,
            fix="arrange the folders as PATIENT/CLASS or CLASS/PATIENT, or list the images in a manifest with columns "
            "path, label and patient",
        )


def _classes(options: LearningOptions) -> tuple[str, ...]:
    default = ("benign", "malignant") if options.target == "binary" else tuple(SUBTYPES.values())
    classes = tuple(name.strip() for name in options.classes.split(",") if name.strip()) or default
    if len({name.casefold() for name in classes}) != len(classes) or len(classes) < 2:
        raise OptionError(
            f"--classes needs at least two different labels, got {options.classes!r}",
            fix="separate them by commas: benign,malignant",
        )
    return classes


def _magnified(files: list[FoundFile], options: LearningOptions, report: Reporter) -> list[FoundFile]:
    """The files of the magnifications in --magnification.

    Raises:
        InputError: there are none.
        OptionError: it is not a list of numbers.
    """
    if not options.magnification.strip():
        return files
    try:
        wanted = {float(word.strip().rstrip("xX")) for word in options.magnification.split(",")}
    except ValueError:
        raise OptionError(
            f"--magnification needs numbers, got {options.magnification!r}", fix="separate them by commas: 40,100"
        ) from None
    counts = Counter(file.truth.magnification for file in files)
    unknown = counts.pop(None, 0)
    chosen = [file for file in files if file.truth.magnification in wanted]
    there = ", ".join(f"{m:g} ({counts[m]} images)" for m in sorted(counts, key=float)) or "none"  # type: ignore[arg-type]
    if not chosen:
        more = f", and {unknown} images of unknown magnification" if unknown else ""
        raise InputError(
            f"no image has magnification {options.magnification}; available: {there}{more}",
            fix="correct or omit --magnification",
        )
    if unknown:
        report(Warn(f"the magnification of {unknown} of {len(files)} images is unknown; they are omitted"))
    report(Note(f"{len(chosen)} of {len(files)} images have magnification {options.magnification}"))
    return chosen
