"""Finish a segment run: its tables, the overlap with true masks, and the run record."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.files import mark_output, output_error, publish, write_bytes
from cancernet_cli.core.records import FoundFile, SegmentResult
from cancernet_cli.engine.classify.worklist import Worklist
from cancernet_cli.engine.provenance import circumstances
from cancernet_cli.engine.segment.job import SegmentJob
from cancernet_cli.engine.segment.overlap import overlap_report
from cancernet_cli.outputs.tables.classified_tiles import write_tile_table
from cancernet_cli.outputs.tables.nuclei import images_schema, nuclei_schema, nuclei_tables
from cancernet_cli.outputs.tables.predictions import TABLE_SCHEMA, assemble, read_metadata
from cancernet_cli.outputs.tables.workspace import Workspace, describe_difference

IMAGES_FILE, NUCLEI_FILE, RUN_FILE = "images.parquet", "nuclei.parquet", "run.json"
FAILURES_SHOWN = 20


def is_finished(job: SegmentJob) -> bool:
    """Whether the output exists already, written by a finished run with the same options.

    Raises:
        OutputError: it was made with other options, or the folder holds other files.
    """
    table = job.options.out / IMAGES_FILE
    if not table.exists():
        return False
    found, wanted = read_metadata(table), {"schema": str(TABLE_SCHEMA), **job.state}
    if found is None:
        raise OutputError(
            f"{table} exists and was not written by `cancernet segment`",
            fix="choose another --out, or pass --overwrite to replace it",
        )
    if found != wanted:
        raise OutputError(
            f"{job.options.out} holds nuclei found with {describe_difference(found, wanted)}",
            fix="choose another --out, or pass --overwrite to replace them",
        )
    return True


def reuse_finished(job: SegmentJob, worklist: Worklist, masks_state: str, started: float) -> SegmentResult:
    """The result of an already finished run from the same files.

    Raises:
        OutputError: it was made from other files, or wrote other outputs.
    """
    record = _record(job)
    if record.get("input_sha256") != worklist.digest(with_scale=True) or record.get("masks") != masks_state:
        raise OutputError(
            f"{job.options.out} was made from different input files than those present now",
            fix="pass --overwrite to start from scratch, or choose another --out",
        )
    if record.get("outputs") != job.writes:
        raise OutputError(
            f"{job.options.out} has the files of other output options",
            fix="pass --overwrite to start from scratch, or choose another --out",
        )
    return _result(job, record.get("overlap"), reused=len(worklist), started=started)


def finish(
    job: SegmentJob, worklist: Worklist, workspace: Workspace, masks_state: str, *, reused: int, started: float
) -> SegmentResult:
    """Assemble the parts and write the run record; images.parquet gets its name last."""
    out = job.options.out
    try:
        mark_output(out)
        (out / IMAGES_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise output_error(out, error) from error
    images, nuclei = (workspace.folder / f"whole.{name}" for name in (IMAGES_FILE, NUCLEI_FILE))
    assemble(worklist.done(), workspace.parts(), images, images_schema(job.state))
    schema = nuclei_schema(job.state)
    files = _with_parts(worklist)
    write_tile_table(nuclei_tables(files, workspace.tile_parts(), _resolutions(images), schema), nuclei, schema)
    overlap = overlap_report(job, images)
    publish(nuclei, out / NUCLEI_FILE)
    result = _result(job, overlap, reused=reused, started=started, images=images)
    record = {
        **circumstances(job.options),
        "result": job.state,
        "resolved": job.runtime.settings,
        "outputs": job.writes,
        "masks": masks_state,
        "input_sha256": worklist.digest(with_scale=True),
        "elapsed_s": round(result.elapsed_s, 3),
        **{name: getattr(result, name) for name in ("files", "slides", "ok", "partial", "failed", "nuclei", "reused")},
        "overlap": overlap,
    }
    write_bytes(out / RUN_FILE, json.dumps(record, indent=2).encode())
    publish(images, out / IMAGES_FILE)
    return result


def _with_parts(worklist: Worklist) -> Iterator[tuple[FoundFile, int]]:
    parts = (part for part, _ in worklist.done())
    return zip(worklist.everything(), parts, strict=True)


def _resolutions(images: Path) -> dict[str, float]:
    """Micrometers per pixel by path, where it is known."""
    table = pq.read_table(images, columns=["path", "mpp"])
    table = table.filter(pc.is_valid(table["mpp"]))
    return dict(zip(table["path"].to_pylist(), table["mpp"].to_pylist(), strict=True))


def _record(job: SegmentJob) -> dict[str, Any]:
    try:
        found = json.loads((job.options.out / RUN_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _result(
    job: SegmentJob, overlap: dict[str, Any] | None, *, reused: int, started: float, images: Path | None = None
) -> SegmentResult:
    out = job.options.out
    table = pq.read_table(images or out / IMAGES_FILE, columns=["path", "kind", "status", "error", "nuclei"])
    statuses = Counter(table["status"].to_pylist())
    bad = table.filter(pc.not_equal(table["status"].cast("string"), "ok")).slice(0, FAILURES_SHOWN)
    return SegmentResult(
        out=out,
        images_file=out / IMAGES_FILE,
        nuclei_file=out / NUCLEI_FILE,
        run_file=out / RUN_FILE,
        report_file=out / "report.md" if overlap else None,
        model=job.name,
        files=len(table),
        slides=table["kind"].to_pylist().count("slide"),
        ok=statuses["ok"] + statuses["partial"],
        partial=statuses["partial"],
        failed=statuses["failed"],
        nuclei=pc.sum(table["nuclei"]).as_py() or 0,
        reused=reused,
        elapsed_s=time.monotonic() - started,
        failures=list(zip(bad["path"].to_pylist(), bad["error"].to_pylist(), strict=True)),
        overlap=overlap,
    )
