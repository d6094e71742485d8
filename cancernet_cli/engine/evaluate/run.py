"""Evaluate a finished predictions table, alone or against another: every measure, a report with plots. No torch."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from cancernet_cli.core import interruption
from cancernet_cli.core.errors import InputError, OptionError, OutputError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, silent
from cancernet_cli.core.files import output_error, write_bytes
from cancernet_cli.core.options import EvaluateOptions
from cancernet_cli.core.records import Kind
from cancernet_cli.engine.evaluate.compare_tables import compare_tables
from cancernet_cli.engine.evaluate.count import Change, TableCount, count_table
from cancernet_cli.engine.evaluate.join import Pairs
from cancernet_cli.engine.evaluate.relabel import Redecide, Relabel
from cancernet_cli.engine.evaluate.source import Source, read_source
from cancernet_cli.engine.evaluate.summary import figures_of, in_order, write_metrics
from cancernet_cli.engine.evaluate.table_kinds import kinds_in, only
from cancernet_cli.metrics.calibration import choose_threshold
from cancernet_cli.metrics.intervals import Resampling
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.metrics.thresholds import threshold_table
from cancernet_cli.outputs.reports.evaluation_report import report_text

METRICS_FILE, REPORT_FILE, PLOTS = "metrics.json", "report.md", "plots"
GIVEN = "given with --threshold"
OWN = "the table's own"
YOUDEN = "highest Youden index, chosen on these same labels: optimistic"
_GRID = np.arange(5, 100, 5) / 100


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        table: The table that was evaluated.
        out: The folder with the report.
        report_file: The report, in Markdown.
        metrics_file: The figures, in JSON.
        metrics: The contents of `metrics_file`.
        plots: Plot files by name.
        skipped: Plots that could not be drawn, with the reason.
    """

    table: Path
    out: Path
    report_file: Path
    metrics_file: Path
    metrics: dict[str, Any]
    plots: dict[str, Path] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def evaluate(
    table: str | Path,
    options: EvaluateOptions | None = None,
    report: Reporter = silent,
    **changes: Any,
) -> Evaluation:
    """Evaluate a predictions table and write a folder with report.md, metrics.json and plots.

    Args:
        table: A table written by `classify`, or the held-out predictions written by `finetune`.
        options: Defaults to the labels and decisions in the table.
        report: Called with progress, notes and warnings (`core.events`).
        changes: Options by name that override `options`, as in `evaluate("preds.parquet", labels="labels.csv")`.

    Returns:
        The figures and the files that hold them.

    Raises:
        InputError: The table was not written by CancerNet or has no labels, or the label file or second table does
            not match it.
        OptionError: `positive` is not a class, or `positive` or `threshold` is given with more than two classes.
        OutputError: The folder is not empty and `overwrite` is off, or it cannot be written.
    """
    options = replace(options or EvaluateOptions(), **changes)
    table = Path(table)
    source = read_source(table)
    decided_by = source.positive
    source = _with_positive(source, options)
    out = options.out or table.with_name(f"{table.stem}.evaluation")
    _check_folder(out, options.overwrite)
    resampling = Resampling(options.resamples, options.seed)

    redecide = Redecide(source.classes, options.threshold) if options.threshold is not None else None
    kinds = _wanted(table, options.kind)
    for kind in kinds:
        relabel = Relabel(options.labels, source.base, source.classes) if options.labels else None
        count = count_table(table, source.classes, _one_by_one(only(kind), relabel, redecide))
        if count.labelled:
            break
    _check_labels(count, source, relabel)
    if redecide is None and source.positive != decided_by:
        # The table's threshold is on the other class: that one is called below it.
        count.thresholds = {1 - t for t in count.thresholds}
    metrics = figures_of(count, seen_patients=source.seen, seen_note=source.seen_note, resampling=resampling, unit=kind)
    left_out = [f"{other}s are left out; --kind {other} judges them" for other in kinds if other != kind]
    metrics["warnings"] += [*left_out, *source.remarks, *(relabel.remarks() if relabel else [])]
    scores = count.tally.scores()
    metrics |= {
        "table": {"path": str(table), "model": source.model, "split": source.split, "classes": list(source.classes)},
        "labels": _labels_entry(relabel),
        "bootstrap": {"resamples": options.resamples, "seed": options.seed},
        "leaks": list(source.leaks),
        "thresholds": _thresholds(scores, metrics["decision"]["thresholds"], GIVEN if redecide else OWN),
    }
    pairs: Pairs | None = None
    if options.against is not None:
        again = Relabel(options.labels, source.base, source.classes) if options.labels else None
        metrics["comparison"], pairs = compare_tables(
            source,
            read_source(options.against),
            _one_by_one(only(kind), again, redecide),
            threshold=options.threshold,
            relabelled=relabel is not None,
            resampling=resampling,
        )
    _clear(out)
    plots, skipped = _draw(scores, metrics, pairs, out, report) if options.plots else ({}, {})
    result = Evaluation(table, out, out / REPORT_FILE, out / METRICS_FILE, metrics, plots, skipped)
    links = {name: path.relative_to(out).as_posix() for name, path in plots.items()}
    write_bytes(result.report_file, report_text(metrics, links, skipped).encode())
    write_metrics(metrics, result.metrics_file)
    return result


def stamps(metrics: dict[str, Any]) -> tuple[str, str]:
    """The warnings across the plots of the table, and of the comparison; "" where there is nothing to warn of."""
    own = _stamp(metrics["leaks"])
    overlap = metrics["training_overlap"]
    if not own and overlap["images"]:
        own = f"TRAINING PATIENTS: {overlap['images']:,} of {metrics['images']['count']:,} images; no test of the model"
    both = [*metrics["leaks"], *metrics.get("comparison", {}).get("leaks", [])]
    return own, _stamp(both) or own


def _stamp(leaks: list[str]) -> str:
    if not leaks:
        return ""
    return f"LEAKING SPLIT: {leaks[0]}" + (f" (and {len(leaks) - 1} more)" if len(leaks) > 1 else "")


def _with_positive(source: Source, options: EvaluateOptions) -> Source:
    """The source with the positive class that was asked for.

    Raises:
        OptionError: it is none of two classes, or there are more than two.
    """
    known = ", ".join(source.classes)
    if len(source.classes) != 2:
        for flag, value in (("--positive", options.positive), ("--threshold", options.threshold)):
            if value is not None:
                raise OptionError(f"{flag} needs two classes, {source.table} has {known}", fix=f"leave {flag} away")
        return source
    if options.positive is None:
        return source
    if options.positive not in source.classes:
        raise OptionError(f"--positive is {options.positive!r}", fix=f"choose one of the table's classes: {known}")
    return replace(source, positive=options.positive, classes=tuple(in_order(source.classes, options.positive)))


def _check_folder(out: Path, overwrite: bool) -> None:
    """Raise when the folder is a file, or holds something that must not be replaced."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file", fix="give --out the name of a folder")
    try:
        holds_something = out.is_dir() and any(out.iterdir())
    except OSError as error:
        raise output_error(out, error) from error
    if holds_something and not overwrite:
        raise OutputError(
            f"{out} exists and is not empty", fix="choose another --out, or pass --overwrite to replace it"
        )


def _clear(out: Path) -> None:
    """Remove an older report's files, so that none of its plots stands beside the new figures; leave all others."""
    from cancernet_cli.engine.evaluate.plots import NAMES_OF_FILES

    old = [out / METRICS_FILE, out / REPORT_FILE, *(out / PLOTS / f"{name}.png" for name in NAMES_OF_FILES)]
    try:
        for path in old:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # not there, or it holds something else
            (out / PLOTS).rmdir()
    except OSError as error:
        raise output_error(out, error) from error


def _wanted(table: Path, kind: Literal["auto", "image", "slide"]) -> list[Kind]:
    """The kinds of rows that may be judged, the first with labels before others.

    Raises:
        InputError: the table has no row of the kind that was asked for.
    """
    there = kinds_in(table) or ["image"]
    if kind == "auto":
        return there
    if kind not in there:
        raise InputError(f"no {kind} in {table} has a prediction", fix="leave --kind away")
    return [kind]


def _one_by_one(*changes: Change | None) -> Change:
    """One change after the other."""

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        for one in filter(None, changes):
            batch = one(batch)
        return batch

    return change


def _check_labels(count: TableCount, source: Source, relabel: Relabel | None) -> None:
    """Raise when there is nothing to measure."""
    if count.labelled:
        return
    table = source.table
    if relabel is not None and not relabel.labelled:
        raise InputError(
            f"no row of {relabel.file} names a path of {table}",
            fix="give paths as the table's column `path` has them, or relative to the label file's folder",
        )
    if count.unknown_labels:
        names = ", ".join(map(repr, sorted(count.unknown_labels)[:5]))
        raise InputError(
            f"the labels in {table} ({names}) are none of its classes ({', '.join(source.classes)})",
            fix="give labels of these classes with --labels FILE",
        )
    if count.failed_labelled or count.unusable:
        raise InputError(f"no labelled image in {table} has a prediction", fix="look at the column `error` of its rows")
    raise InputError(
        f"{table} has no labels: `true_label` is empty in all its rows",
        fix="give them with --labels FILE, a CSV or Parquet file with path,label[,patient]",
    )


def _labels_entry(relabel: Relabel | None) -> dict[str, Any]:
    if relabel is None:
        return {"from": "the table", "file": None}
    return {
        "from": "--labels",
        "file": str(relabel.file),
        "rows_labelled": relabel.labelled,
        "rows_without": relabel.without,
    }


def _thresholds(scores: Scores, own: list[float], whose: str) -> list[dict[str, Any]]:
    """The threshold table of two classes: a grid, the threshold in use, and the best one for these labels."""
    if len(scores.classes) != 2:
        return []
    # As float32, as the table stores probabilities: 0.7 in the table is a little less than 0.7.
    notes: dict[float, list[str]] = {float(t): [] for t in _GRID.astype(np.float32)}
    for t in own:
        notes.setdefault(t, []).append(whose)
    positive = scores.labels == 1
    if len(np.unique(positive)) == 2:
        notes.setdefault(choose_threshold(positive, scores.probs[:, 1], scores.counts), []).append(YOUDEN)
    rows = threshold_table(positive, scores.probs[:, 1], scores.counts, sorted(notes))
    # seven digits are what a float32 has
    return [
        {**row, "threshold": round(row["threshold"], 7), "note": "; ".join(notes[row["threshold"]])} for row in rows
    ]


def _draw(
    scores: Scores, metrics: dict[str, Any], pairs: Pairs | None, out: Path, report: Reporter
) -> tuple[dict[str, Path], dict[str, str]]:
    """The plots that can be drawn, and why the others cannot."""
    from cancernet_cli.engine.evaluate.plots import plots_of

    stamp, stamp_comparison = stamps(metrics)
    name = Path(metrics["table"]["path"]).name
    draw, skipped = plots_of(scores, metrics, pairs, name=name, stamp=stamp, stamp_comparison=stamp_comparison)
    report(StageStarted("plots", len(draw), "plots"))
    files: dict[str, Path] = {}
    for key, plot in draw.items():
        interruption.check()
        files[key] = out / PLOTS / f"{key}.png"
        plot(files[key])
        report(StageAdvanced("plots", 1))
    report(StageFinished("plots"))
    return files, skipped
