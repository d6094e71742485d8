"""The overlap of a run's nuclei with true masks: figures and report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.compute as pc
import pyarrow.parquet as pq

from cancernet_cli.core.figures import MASK_FIGURES, counted
from cancernet_cli.core.files import real_path
from cancernet_cli.engine.evaluate.training_images import seen_patients
from cancernet_cli.engine.segment.images import SUFFIXES
from cancernet_cli.engine.segment.job import SegmentJob
from cancernet_cli.metrics.overlap import overlap_summary
from cancernet_cli.outputs.reports.overlap_report import ImageOverlap, write_overlap_report
from cancernet_cli.outputs.side_files import side_path

REPORT_FILE = "report.md"


def overlap_report(job: SegmentJob, table: Path) -> dict[str, Any] | None:
    """Write the report of the images with true masks in images.parquet; its figures, None if there are none."""
    names = [spec.name for spec in MASK_FIGURES]
    columns = ["path", "patient", "nuclei", "true_nuclei", "true_instances", *names]
    rows = pq.read_table(table, columns=columns)
    rows = rows.filter(pc.is_valid(rows["dice"]))
    if not len(rows):
        (job.options.out / REPORT_FILE).unlink(missing_ok=True)
        return None
    found = rows.to_pylist()
    knows_patients = all(row["patient"] for row in found)
    groups = [row["patient"] if knows_patients else row["path"] for row in found]
    values = {name: [row[name] for row in found] for name in names}
    true = [row["true_nuclei"] for row in found]
    summary = overlap_summary(values, [row["nuclei"] for row in found], true, groups)
    images = [
        ImageOverlap(
            row["path"],
            row["patient"] or "",
            row["nuclei"],
            row["true_nuclei"],
            {name: row[name] for name in names},
            _link(job, row["path"]) if job.options.overlays else "",
        )
        for row in found
    ]
    write_overlap_report(
        summary,
        images,
        job.options.out / REPORT_FILE,
        model=job.name,
        binary=sum(not row["true_instances"] for row in found),
        unit="patient" if knows_patients else "image",
        remarks=_remarks(job, set(groups) if knows_patients else set()),
    )
    return summary


def _remarks(job: SegmentJob, patients: set[str]) -> list[str]:
    """That the model was trained on some of the patients."""
    seen = patients & seen_patients(job.card) if job.card else set()
    if not seen:
        return []
    return [
        f"{job.name} was trained on {counted(len(seen), 'patient')} of these {len(patients):,}, by their names: "
        "figures on them are too high. The model card has those on held-out patients."
    ]


def _link(job: SegmentJob, path: str) -> str:
    folder, end = SUFFIXES["overlays"]
    place = side_path(job.options.out / folder, real_path(path), end)
    return quote(os.fsencode(os.path.relpath(place, job.options.out)))
