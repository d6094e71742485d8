"""Which files a classifier learns from: those with a label that is wanted, at a magnification that is wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from cancernet_cli.core.errors import InputError, OptionError
from cancernet_cli.core.events import Note, Reporter, Warn
from cancernet_cli.core.options import LearningOptions
from cancernet_cli.core.records import FoundFile, Truth
from cancernet_cli.data.breakhis import SUBTYPES
from cancernet_cli.data.discover import discover
from cancernet_cli.data.inputs import resolve_base
from cancernet_cli.data.labels import NameLabels
from cancernet_cli.data.manifest import DEFAULT_RULE, LabelRule


def labelled_files(
    data: Sequence[str], options: LearningOptions, report: Reporter
) -> tuple[list[FoundFile], tuple[str, ...]]:
    """The files with a label and of the magnifications that are wanted, in path order, and the classes.

    With --target subtype and no --classes, the classes are the subtypes that are there.

    Raises:
        InputError: no image is left, or a class has none.
        OptionError: --classes or --magnification makes no sense.
    """
    classes = _classes(options)
    base = resolve_base(data)
    found = discover(
        data,
        base=base,
        labels=options.labels,
        classes=classes,
        rule=_rule(options),
        on_problem=lambda message: report(Warn(message)),
    )
    once: dict[bytes, FoundFile] = {}
    for file in found:
        once.setdefault(file.location, file)  # the first knows most
    everything = sorted(once.values(), key=lambda file: file.path)
    if problems := [file for file in everything if file.problem is not None]:
        first = f"{problems[0].path}: {problems[0].problem}"
        report(Warn(f"{len(problems)} files cannot be opened and are left out; the first is {first}"))
    files = [file for file in everything if file.problem is None]
    if options.target == "subtype" and options.labels == "auto":
        # What a list without subtypes does not say, file names and folders may.
        names = NameLabels(base, classes, use_name=True, use_folder=True)
        files = [file if file.truth.label else _relabelled(file, names.truth(file.location)) for file in files]
    labelled = [file for file in files if file.truth.label is not None]
    if not labelled:
        raise InputError(
            f"no image with one of the labels {', '.join(classes)} was found",
            fix="sort them into folders of these names, or label a list, or name your labels with --classes",
        )
    if others := len(files) - len(labelled):
        report(Note(f"{others} of {len(files)} images have no label, or none of {', '.join(classes)}: left out"))
    chosen = _magnified(labelled, options, report)
    present = {file.truth.label for file in chosen}
    if options.target == "subtype" and not options.classes:
        classes = tuple(name for name in classes if name in present)
    if missing := [name for name in classes if name not in present]:
        raise InputError(f"no image is labelled {missing[0]!r}", fix="correct --classes or the labels")
    return chosen, classes


def _classes(options: LearningOptions) -> tuple[str, ...]:
    default = ("benign", "malignant") if options.target == "binary" else tuple(SUBTYPES.values())
    classes = tuple(name.strip() for name in options.classes.split(",") if name.strip()) or default
    if len({name.casefold() for name in classes}) != len(classes) or len(classes) < 2:
        raise OptionError(f"--classes is {options.classes!r}", fix="name two or more different labels, with commas")
    return classes


def _rule(options: LearningOptions) -> LabelRule:
    """With classes of the user's own choice, and with subtypes, other labels are left out, not mistakes."""
    columns = DEFAULT_RULE.columns
    if options.target == "subtype":
        columns = ("subtype", *columns)
    return LabelRule(columns, refuse_others=not options.classes and options.target == "binary")


def _relabelled(file: FoundFile, other: Truth) -> FoundFile:
    return replace(file, truth=replace(file.truth, label=other.label))


def _magnified(files: list[FoundFile], options: LearningOptions, report: Reporter) -> list[FoundFile]:
    """The files of the magnifications that --magnification names.

    Raises:
        InputError: there are none.
        OptionError: it names no numbers.
    """
    if not options.magnification.strip():
        return files
    try:
        wanted = {float(word.strip().rstrip("xX")) for word in options.magnification.split(",")}
    except ValueError:
        raise OptionError(
            f"--magnification is {options.magnification!r}", fix="give numbers with commas, as 40,100"
        ) from None
    counts = Counter(file.truth.magnification for file in files)
    unknown = counts.pop(None, 0)
    chosen = [file for file in files if file.truth.magnification in wanted]
    there = ", ".join(f"{m:g} ({counts[m]} images)" for m in sorted(counts, key=float)) or "none"  # type: ignore[arg-type]
    if not chosen:
        said = f", and {unknown} images whose magnification is unknown" if unknown else ""
        raise InputError(
            f"no image has the magnification {options.magnification}; there are {there}{said}",
            fix="correct --magnification, or leave it out",
        )
    if unknown:
        report(Warn(f"the magnification of {unknown} of {len(files)} images is unknown: they are left out"))
    report(Note(f"{len(chosen)} of {len(files)} images have the magnification {options.magnification}"))
    return chosen
