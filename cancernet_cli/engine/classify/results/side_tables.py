"""What a run writes next to its predictions table: the table of patients, and spreadsheets of both."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.events import Reporter
from cancernet_cli.core.files import file_sha256, publish, write_bytes
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.results.patients import write_patients
from cancernet_cli.outputs.tables.patient_table import patients_file
from cancernet_cli.outputs.tables.predictions import read_metadata
from cancernet_cli.outputs.tables.spreadsheets import write_again

RECORDED = "spreadsheets"


@dataclass(frozen=True)
class SideTables:
    """Finished files, not at their places yet, by the place that each is for.

    patients: the table of patients; None if none is known. spreadsheets: asked for with `--out`.
    """

    patients: Path | None
    spreadsheets: dict[Path, Path]

    @property
    def record(self) -> dict[str, str]:
        """Name and SHA-256 of each spreadsheet, for the run record: a later run replaces only what nobody edited."""
        return {place.name: file_sha256(made) for place, made in self.spreadsheets.items()}

    def publish(self, out: Path) -> None:
        """Put the table of patients at its place, or remove one that an earlier run left."""
        place = patients_file(out)
        if self.patients is not None:
            publish(self.patients, place)
        elif read_metadata(place) is not None:
            place.unlink()

    def publish_spreadsheets(self) -> None:
        """Put the spreadsheets at their places, once the table that they show has its name."""
        for place, made in self.spreadsheets.items():
            publish(made, place)


def make_side_tables(
    job: Job, table: Path, scratch: Path, report: Reporter, *, keep: Collection[Path] = ()
) -> SideTables:
    """Make them in `scratch`, a folder on the file system of the output.

    Args:
        keep: places of spreadsheets that are not made again.

    Raises:
        OSError: one cannot be written.
    """
    patients = scratch / "whole.patients.parquet"
    is_known = write_patients(table, job.card, job.state, patients)
    sources = (table, patients) if is_known else (table,)
    spreadsheets = {}
    for place, source in zip(spreadsheet_places(job), sources, strict=False):
        if place not in keep:
            spreadsheets[place] = scratch / f"whole.{place.name}"
            write_again(source, spreadsheets[place], place.suffix.lower(), report, name=place.name)
    return SideTables(patients if is_known else None, spreadsheets)


def check_spreadsheets(job: Job, record: Mapping[str, Any]) -> None:
    """Check that the spreadsheets that a run is about to replace are as an earlier run wrote them.

    Args:
        record: the run record of the earlier run; empty without one.

    Raises:
        OutputError: one was edited, or was not written by CancerNet.
    """
    written = record.get(RECORDED, {})
    for place in spreadsheet_places(job):
        if place.exists() and written.get(place.name) != file_sha256(place):
            what = "was edited since a run wrote it" if place.name in written else "exists, and no run wrote it"
            raise OutputError(f"{place} {what}", fix="rename it, choose another --out, or pass --overwrite")


def complete_side_tables(job: Job, record_file: Path, scratch: Path, report: Reporter) -> None:
    """Make what a finished run has not next to its table; what exists stays as it is."""
    table = job.options.out
    places = [patients_file(table), *spreadsheet_places(job)]
    there = [place for place in places if place.exists()]
    if there == places:
        return
    made = make_side_tables(job, table, scratch, report, keep=there)
    if places[0] not in there:
        made.publish(table)
    if made.spreadsheets:
        record = json.loads(record_file.read_text("utf-8"))
        record[RECORDED] = {**record.get(RECORDED, {}), **made.record}
        write_bytes(record_file, json.dumps(record, indent=2).encode())
        made.publish_spreadsheets()


def spreadsheet_places(job: Job) -> list[Path]:
    """Where the run's spreadsheets go: that of the predictions, and that of the patients."""
    if job.spreadsheet is None:
        return []
    return [job.spreadsheet, patients_file(job.options.out).with_suffix(job.spreadsheet.suffix)]
