"""List the files of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from cancernet_cli.core import interruption
from cancernet_cli.core.cards import Card
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Note, Reporter, StageAdvanced, StageFinished, StageStarted, Warn
from cancernet_cli.core.models import bundled_classifiers_for, is_for
from cancernet_cli.core.options import ClassifyOptions, SegmentOptions, flag_name
from cancernet_cli.core.options.shared.tiling import without_slides
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.endings import registered_endings
from cancernet_cli.data.discovery.inputs import Input
from cancernet_cli.data.discovery.layout import Layout, split_named
from cancernet_cli.data.discovery.patients import PatientPattern
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.worklist import Worklist

STAGE = "find files"


def find_files(job: Job, folder: Path, report: Reporter) -> Worklist:
    """Every file under the inputs, in a database in `folder`."""
    parts = _SplitParts()
    exclude = [folder, *(sink.folder for sink in job.sinks)]
    classes = job.card.architecture.classes
    worklist = list_files(job.inputs, job.base, job.options, folder, report, classes, exclude, each=parts.noted)
    _warn_of_idle_sinks(job, worklist, report)
    _suggest_models(job.card, worklist, report)
    _warn_of_idle_options(job, worklist, report)
    if len(parts.found) > 1:
        both = " and ".join(sorted(parts.found))
        report(Warn(f"the metrics cover {both} folders together; to test a model, classify only held-out images"))
    return worklist


def list_files(
    inputs: Sequence[Input],
    base: Path,
    options: ClassifyOptions | SegmentOptions,
    folder: Path,
    report: Reporter,
    classes: Sequence[str],
    exclude: Sequence[Path],
    *,
    each: Callable[[FoundFile], FoundFile],
    on_layout: Callable[[Layout], None] | None = None,
) -> Worklist:
    """Every file under the inputs, with its patient and after `each`, in a database in `folder`.

    For `on_layout` see `discover`.

    Raises:
        InputError: there are none.
    """
    worklist = Worklist(folder / "files.sqlite")
    report(StageStarted(STAGE))

    def unlisted() -> None:
        worklist.unlisted_folders += 1

    names = [one.text for one in inputs]
    patients = PatientPattern(options.patient_pattern)
    files = discover(
        inputs,
        base=base,
        labels=options.labels,
        classes=classes,
        exclude=exclude,
        stdin=sys.stdin.buffer if "-" in names else None,
        kind=options.kind,
        on_problem=lambda message: report(Warn(message)),
        on_unlisted=unlisted,
        on_layout=on_layout,
        on_passed_over=lambda message: report(Note(message)),
        timeout_s=options.file_timeout,
    )
    for count in worklist.add(map(each, map(patients.named, files))):
        report(StageAdvanced(STAGE, count))
        interruption.check()
    report(StageFinished(STAGE))
    if not len(worklist):
        worklist.close()
        raise InputError(
            f"no image and no slide was found under {', '.join(names[:3])}",
            fix="give a folder with slides or with PNG, JPEG, TIFF, BMP or WebP files, or name the files themselves",
        )
    patients.check(lambda message: report(Warn(message)))
    return worklist


class _SplitParts:
    """Which of train, val and test the folders of labeled files are named after."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self._part = lru_cache(maxsize=1024)(lambda folder: next(filter(None, map(split_named, folder.split("/"))), ""))

    def noted(self, file: FoundFile) -> FoundFile:
        """The file, after a look at its folder."""
        if file.truth.label is not None and (part := self._part(os.path.dirname(file.path))):
            self.found.add(part)
        return file


def kinds_to_write(job: Job, worklist: Worklist) -> set[str]:
    """The kinds of files that sinks can write for these inputs: "image", "slide", "tile"."""
    kinds = {kind for kind, count in worklist.kinds().items() if count}
    return kinds | {"tile"} if "slide" in kinds and job.options.mask_regions is not None else kinds


def make_sink_folders(job: Job, kinds: set[str], report: Reporter) -> None:
    """Create the folders of the sinks that write files for these kinds of inputs.

    Raises:
        OutputError: one cannot be created or written to.
    """
    is_input = registered_endings().matcher(slides=True)
    for sink in job.sinks:
        if (
            any(map(sink.writes, kinds))
            and not sink.make_folder()
            and is_input(os.fsencode(sink.entry.facts["suffix"]))
        ):
            report(
                Warn(
                    f"{flag_name(sink.name)} writes to {sink.folder}, which has other files; a later search of that "
                    "folder for images will find what is written there"
                )
            )


def _warn_of_idle_sinks(job: Job, worklist: Worklist, report: Reporter) -> None:
    """Warn of sinks that have nothing to write for these inputs."""
    names = {"image": "images", "slide": "slides", "tile": "slides with --mask-regions"}
    for sink in job.sinks:
        written = sink.entry.facts["kinds"]
        if kinds_to_write(job, worklist).isdisjoint(written):
            wanted = " and ".join(names[kind] for kind in written)
            report(Warn(f"{flag_name(sink.name)} writes files for {wanted} only; there are none among the inputs"))


def _warn_of_idle_options(job: Job, worklist: Worklist, report: Reporter) -> None:
    """Warn of options that have no effect on these inputs."""
    options, idle = job.options, list[str]()
    if not worklist.kinds()["slide"]:
        idle = [name for name in options.changed("Slides") if name != "kind"]  # which decides what is a slide
        if idle:
            report(Warn(without_slides(idle)))
    if "top_k" in options.changed("Slides") and "top_k" not in idle and options.pool != "topk":
        report(Warn("no effect of --top-k without --pool topk"))
    if "geojson_regions" in options.changed("Output") and "geojson" not in options.sink_folders():
        report(Warn("no effect of --geojson-regions without --geojson"))


def _suggest_models(card: Card, worklist: Worklist, report: Reporter) -> None:
    """Report a note for each kind of file that the model is not for and a bundled one is, by their cards."""
    for kind, count in worklist.kinds().items():
        names = bundled_classifiers_for(kind) if count and not is_for(card, kind) else []
        if names:
            made = "is not made for slides" if kind == "slide" else "is made for slides and the tiles cut from them"
            wanted = "slides" if kind == "slide" else "photos"
            report(Note(f"{card.name} {made}; for {wanted}, use --model {' or --model '.join(names)}"))
