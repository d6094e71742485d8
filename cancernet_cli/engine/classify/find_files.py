"""List the files of a run."""

from __future__ import annotations

import sys
from pathlib import Path

from cancernet_cli.core import interruption
from cancernet_cli.core.cards import Card
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Note, Reporter, StageAdvanced, StageFinished, StageStarted, Warn
from cancernet_cli.core.models import bundled_classifiers_for, is_for
from cancernet_cli.core.options import flag_name
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.patients import PatientPattern
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.worklist import Worklist

STAGE = "find files"


def find_files(job: Job, folder: Path, report: Reporter) -> Worklist:
    """Every file under the inputs, in a database in `folder`."""
    worklist = Worklist(folder / "files.sqlite")
    report(StageStarted(STAGE))

    def unlisted() -> None:
        worklist.unlisted_folders += 1

    names = [one.text for one in job.inputs]
    patients = PatientPattern(job.options.patient_pattern)
    files = discover(
        job.inputs,
        base=job.base,
        labels=job.options.labels,
        classes=job.card.architecture.classes,
        exclude=[sink.folder for sink in job.sinks],
        stdin=sys.stdin.buffer if "-" in names else None,
        kind=job.options.kind,
        on_problem=lambda message: report(Warn(message)),
        on_unlisted=unlisted,
        timeout_s=job.options.file_timeout,
    )
    for count in worklist.add(map(patients.named, files)):
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
    _warn_of_idle_sinks(job, worklist, report)
    _suggest_models(job.card, worklist, report)
    return worklist


def kinds_to_write(job: Job, worklist: Worklist) -> set[str]:
    """The kinds of files that sinks can write for these inputs: "image", "slide", "tile"."""
    kinds = {kind for kind, count in worklist.kinds().items() if count}
    return kinds | {"tile"} if "slide" in kinds and job.options.mask_regions is not None else kinds


def _warn_of_idle_sinks(job: Job, worklist: Worklist, report: Reporter) -> None:
    """Warn of sinks that have nothing to write for these inputs."""
    names = {"image": "images", "slide": "slides", "tile": "slides with --mask-regions"}
    for sink in job.sinks:
        written = sink.entry.facts["kinds"]
        if kinds_to_write(job, worklist).isdisjoint(written):
            wanted = " and ".join(names[kind] for kind in written)
            report(Warn(f"{flag_name(sink.name)} writes files for {wanted} only; there are none among the inputs"))


def _suggest_models(card: Card, worklist: Worklist, report: Reporter) -> None:
    """Report a note for each kind of file that the model is not for and a bundled one is, by their cards."""
    for kind, count in worklist.kinds().items():
        names = bundled_classifiers_for(kind) if count and not is_for(card, kind) else []
        if names:
            made = "is not made for slides" if kind == "slide" else "is made for slides and the tiles cut from them"
            wanted = "slides" if kind == "slide" else "photos"
            report(Note(f"{card.name} {made}; for {wanted}, use --model {' or --model '.join(names)}"))
