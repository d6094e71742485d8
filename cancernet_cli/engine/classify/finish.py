"""Finish a classify run: assemble its tables, compute metrics, write the run record."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from cancernet_cli.core.choices import UNSURE
from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.events import Reporter
from cancernet_cli.core.files import publish, write_bytes
from cancernet_cli.core.records import RunResult
from cancernet_cli.engine.classify.flags import split_flags
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.results.side_tables import (
    RECORDED,
    check_spreadsheets,
    complete_side_tables,
    make_side_tables,
    spreadsheet_places,
)
from cancernet_cli.engine.classify.worklist import Worklist
from cancernet_cli.engine.provenance import circumstances
from cancernet_cli.outputs.tables.classified_tiles import classified_tile_schema, tiles_of, write_tile_table
from cancernet_cli.outputs.tables.contents import ContentHashes, contents_file, write_contents
from cancernet_cli.outputs.tables.patient_table import patients_file
from cancernet_cli.outputs.tables.predictions import (
    ROW_GROUP_ROWS,
    TABLE_SCHEMA,
    assemble,
    read_metadata,
    table_schema,
)
from cancernet_cli.outputs.tables.workspace import Workspace, describe_difference

FAILURES_SHOWN = 20


def run_file(out: Path) -> Path:
    """Path of the run record of a table."""
    return out.with_name(f"{out.stem}.run.json")


def tiles_file(out: Path) -> Path:
    """Path of the tile table of a table."""
    return out.with_name(f"{out.stem}.tiles.parquet")


def metrics_file(job: Job) -> Path:
    """Path of the metrics file."""
    return job.options.metrics or job.options.out.with_name(f"{job.options.out.stem}.metrics.json")


def is_finished(job: Job) -> bool:
    """Whether the output exists already, written by a finished run with the same options.

    Raises:
        OutputError: the file is something else.
    """
    out = job.options.out
    if not out.exists():
        return False
    found = read_metadata(out)
    if found is None:
        raise OutputError(
            f"{out} exists and is not a predictions table",
            fix="choose another --out, or pass --overwrite to replace it",
        )
    wanted = {"schema": str(TABLE_SCHEMA), **job.state}
    if found != wanted:
        raise OutputError(
            f"{out} holds predictions made with {describe_difference(found, wanted)}",
            fix="choose another --out, or pass --overwrite to replace them",
        )
    return True


def is_current(job: Job, worklist: Worklist) -> bool:
    """Whether the finished table was made from the files as they are now."""
    return bool(_record(job).get("input_sha256") == _digest(job, worklist))


def check_extends(job: Job) -> None:
    """Check that rows of the finished table can be reused although other files have changed since.

    Raises:
        OutputError: they were made from another folder, or with other outputs, or it is not known from what.
    """
    if _record(job).get("outputs") != _outputs(job) or not contents_file(job.options.out).is_file():
        raise other_files(job)


def check_replaceable(job: Job) -> None:
    """Check that no spreadsheet that the run will replace was edited or comes from elsewhere, unless it may.

    Raises:
        OutputError: one was.
    """
    if not job.options.overwrite:
        check_spreadsheets(job, _record(job))


def other_files(job: Job) -> OutputError:
    """The error for a finished table whose rows cannot be reused."""
    return OutputError(
        f"{job.options.out} was made from different input files than those present now",
        fix="pass --overwrite to start from scratch, or choose another --out",
    )


def from_finished(job: Job, worklist: Worklist, workspace: Workspace, report: Reporter, started: float) -> RunResult:
    """The result of an already finished run from the same files; side tables that do not exist are written."""
    complete_side_tables(job, run_file(job.options.out), workspace.folder, report)
    return _result(job, reused=len(worklist), started=started, metrics=_metrics(job))


def _record(job: Job) -> dict[str, Any]:
    """The run record of the finished table; empty if it cannot be read."""
    try:
        found = json.loads(run_file(job.options.out).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _outputs(job: Job) -> dict[str, str]:
    """Where a run reads and writes, which decides with `Job.state` what it may reuse."""
    return {name: value for name, value in job.parts_state.items() if name not in job.state}


def finish(
    job: Job,
    worklist: Worklist,
    workspace: Workspace,
    contents: ContentHashes,
    report: Reporter,
    *,
    reused: int,
    started: float,
) -> RunResult:
    """Assemble the parts, compute metrics and write the run record; the table gets its name last.

    An older table is removed first: it must not be taken for the one that the record describes.
    """
    out = job.options.out
    schema = table_schema(job.card.architecture.classes, job.state)
    whole = workspace.folder / "whole.parquet"
    assemble(worklist.done(), workspace.parts(), whole, schema)
    tiles = _assemble_tiles(job, worklist, workspace)
    side = make_side_tables(job, whole, workspace.folder, report)
    metrics = _metrics(job, whole)
    if metrics is not None:
        from cancernet_cli.engine.evaluate.summary import write_metrics

        write_metrics(metrics, metrics_file(job))
    result = _result(job, table=whole, reused=reused, started=started, metrics=metrics)
    record = {
        **circumstances(job.options),
        "result": job.state,
        "resolved": job.runtime.settings,
        "folder": job.parts_state["folder"],
        "outputs": _outputs(job),
        "input_sha256": _digest(job, worklist),
        "elapsed_s": round(result.elapsed_s, 3),
        RECORDED: side.record,
        **{
            name: getattr(result, name)
            for name in ("files", "slides", "ok", "partial", "failed", "unsure", "reused", "flag_counts")
        },
    }
    for old in (out, *spreadsheet_places(job)):
        old.unlink(missing_ok=True)
    write_contents(worklist.everything(), contents, contents_file(out))
    write_bytes(run_file(out), json.dumps(record, indent=2).encode())
    if tiles is not None:
        publish(tiles, tiles_file(out))
    elif read_metadata(tiles_file(out)) is not None:  # left by an earlier run with slides
        tiles_file(out).unlink()
    side.publish(out)
    publish(whole, out)
    side.publish_spreadsheets()
    return replace(result, patients_file=patients_file(out) if side.patients is not None else None)


def _digest(job: Job, worklist: Worklist) -> str:
    return worklist.digest(with_scale=bool(job.card.input.scales))


def _assemble_tiles(job: Job, worklist: Worklist, workspace: Workspace) -> Path | None:
    """Assemble the tile table of all slides in the workspace; None if there are no slides."""
    if not worklist.kinds()["slide"]:
        return None
    parts = workspace.tile_parts()
    found = (tiles_of(file, [parts[number] for number in worklist.tile_parts(file.path)]) for file in worklist.slides())
    whole = workspace.folder / "whole.tiles.parquet"
    schema = classified_tile_schema(job.card.architecture.classes, job.state)
    write_tile_table((rows for rows in found if rows is not None), whole, schema)
    return whole


def _metrics(job: Job, table: Path | None = None) -> dict[str, Any] | None:
    card, table = job.card, table or job.options.out
    file = pq.ParquetFile(table)
    labels = (batch.column(0) for batch in file.iter_batches(ROW_GROUP_ROWS, columns=["true_label"]))
    if all(column.null_count == len(column) for column in labels):
        return None
    from cancernet_cli.engine.evaluate.summary import summarise  # scikit-learn takes a second to import
    from cancernet_cli.engine.evaluate.training_images import seen_patients

    return summarise(
        table,
        positive=card.decision.positive,
        classes=card.architecture.classes,
        seen_patients=seen_patients(card),
        seen_note=card.training.data,
    )


def _result(
    job: Job, *, reused: int, started: float, metrics: dict[str, Any] | None, table: Path | None = None
) -> RunResult:
    options = job.options
    statuses: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    failures: list[tuple[str, str]] = []
    file = pq.ParquetFile(table or options.out)
    for batch in file.iter_batches(ROW_GROUP_ROWS, columns=["path", "kind", "status", "error", "label", "flags"]):
        statuses.update(batch["status"].to_pylist())
        kinds.update(batch["kind"].to_pylist())
        labels.update(label for label in batch["label"].to_pylist() if label is not None)
        flags.update(flag for joined in batch["flags"].to_pylist() for flag in split_flags(joined))
        if len(failures) < FAILURES_SHOWN:
            bad = batch.filter(pc.not_equal(batch["status"], "ok"))
            failures += zip(bad["path"].to_pylist(), bad["error"].to_pylist(), strict=True)
    return RunResult(
        out=options.out,
        run_file=run_file(options.out),
        model=job.card.name,
        files=statuses.total(),
        ok=statuses["ok"] + statuses["partial"],
        failed=statuses["failed"],
        reused=reused,
        elapsed_s=time.monotonic() - started,
        label_counts={name: labels[name] for name in job.card.architecture.classes},
        unsure=labels[UNSURE],
        flag_counts=dict(sorted(flags.items())),
        failures=failures[:FAILURES_SHOWN],
        metrics=metrics,
        metrics_file=metrics_file(job) if metrics is not None else None,
        slides=kinds["slide"],
        partial=statuses["partial"],
        tiles_file=tiles_file(options.out) if kinds["slide"] else None,
        patients_file=patients_file(options.out) if patients_file(options.out).is_file() else None,
        spreadsheet=job.spreadsheet,
        outputs=job.options.sink_folders(),
    )
