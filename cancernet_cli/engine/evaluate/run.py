"""Evaluate a predictions table, alone or against another: every measure, and a report with plots. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cancernet_cli.core import interruption
from cancernet_cli.core.cards import split_stamp
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, silent
from cancernet_cli.core.files import check_output_folder, mark_output, output_error, write_bytes
from cancernet_cli.core.options import EvaluateOptions
from cancernet_cli.core.options.base import chosen
from cancernet_cli.core.records import Kind
from cancernet_cli.core.results import Result, figure_rows, table_of
from cancernet_cli.core.text import one_line
from cancernet_cli.engine.evaluate.compare_tables import compare_tables
from cancernet_cli.engine.evaluate.join import Pairs
from cancernet_cli.engine.evaluate.labelled import in_turn, only
from cancernet_cli.engine.evaluate.page import evaluation_page
from cancernet_cli.engine.evaluate.relabel import Relabel
from cancernet_cli.engine.evaluate.select_rows import SelectedRows, changes_of, select_rows
from cancernet_cli.engine.evaluate.source import Source, read_source
from cancernet_cli.engine.evaluate.summary import figures_of, in_order, write_metrics
from cancernet_cli.engine.evaluate.training_images import set_apart
from cancernet_cli.metrics.calibration import choose_threshold
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.metrics.thresholds import threshold_table
from cancernet_cli.outputs.report.content import Section
from cancernet_cli.outputs.report.page import write_page
from cancernet_cli.outputs.reports.evaluation_report import report_text

METRICS_FILE, REPORT_FILE, PAGE_FILE, PLOTS = "metrics.json", "report.md", "report.html", "plots"
GIVEN = "given with --threshold"
OWN = "the table's own"
YOUDEN = "highest Youden index, chosen on these same labels: optimistic"
_GRID = np.arange(5, 100, 5) / 100


@dataclass(frozen=True)
class Evaluation(Result):
    """A finished evaluation.

    Attributes:
        table_file: The table that was evaluated.
        out: The folder with the report.
        report_file: The report, in Markdown.
        page_file: The same as one HTML page with interactive charts.
        metrics_file: The figures, in JSON.
        metrics: The contents of `metrics_file`.
        plots: Plot files by name.
        skipped: Plots that could not be drawn, with the reason.
    """

    table_file: Path
    out: Path
    report_file: Path
    page_file: Path
    metrics_file: Path
    metrics: dict[str, Any]
    plots: dict[str, Path] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def table(self) -> pa.Table:
        """The figures, one row each."""
        return table_of(list(figure_rows(self.metrics)))


def evaluate(
    table: str | Path,
    options: EvaluateOptions | None = None,
    report: Reporter = silent,
    **changes: Any,
) -> Evaluation:
    """Evaluate a predictions table and write a folder with report.md, report.html, metrics.json and plots.

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
    return evaluate_table(Path(table), chosen(EvaluateOptions, options, changes), report)


def evaluate_table(
    table: Path,
    options: EvaluateOptions,
    report: Reporter = silent,
    divisions: dict[str, Any] | None = None,
    more: Sequence[Section] = (),
) -> Evaluation:
    """`evaluate`, with figures of repeated divisions into folds (`metrics.groups.repeated_metrics`, as JSON) added.

    Args:
        more: sections of the HTML page that follow the figures, the model's card among them.
    """
    out = options.out or table.with_name(f"{table.stem}.evaluation")
    own = _source(table, options)
    source = _with_positive(own, options)
    check_output_folder(out, overwrite=options.overwrite)
    rows, metrics = _measured(own, source, options)
    if divisions:
        metrics["divisions"] = divisions
    pairs: Pairs | None = None
    if options.against is not None:
        metrics["comparison"], pairs = _against(options.against, rows.kind, source, options)
    _clear(out)
    scores = _tested(rows, source)
    plots, skipped = _draw(scores, metrics, pairs, out, report) if options.plots else ({}, {})
    result = Evaluation(
        table_file=table,
        out=out,
        report_file=out / REPORT_FILE,
        page_file=out / PAGE_FILE,
        metrics_file=out / METRICS_FILE,
        metrics=metrics,
        plots=plots,
        skipped=skipped,
    )
    links = {name: path.relative_to(out).as_posix() for name, path in plots.items()}
    write_bytes(result.report_file, report_text(metrics, links, skipped).encode())
    write_page(evaluation_page(metrics, scores, source, more), result.page_file)
    write_metrics(metrics, result.metrics_file)
    return result


def measure(source: Source, options: EvaluateOptions) -> tuple[dict[str, Any], Scores]:
    """What metrics.json holds of a table, without a comparison, and the labelled rows that the figures are of.

    Raises:
        InputError: the table has no labelled row with a prediction.
    """
    rows, metrics = _measured(source, source, options)
    return metrics, _tested(rows, source)


def stamps(metrics: dict[str, Any]) -> tuple[str, str]:
    """The warnings across the plots of the table, and of the comparison; "" for none."""
    own = _stamp(metrics["leaks"]) or metrics["may_leak"]
    if not own and metrics["training_overlap"].get("all"):
        own = f"TRAINING IMAGES: all {metrics['images']['count']:,} images; no test of the model"
    both = [*metrics["leaks"], *metrics.get("comparison", {}).get("leaks", [])]
    return own, _stamp(both) or own


def _stamp(leaks: list[str]) -> str:
    if not leaks:
        return ""
    return f"LEAKING SPLIT: {leaks[0]}" + (f" (and {len(leaks) - 1} more)" if len(leaks) > 1 else "")


def _measured(own: Source, source: Source, options: EvaluateOptions) -> tuple[SelectedRows, dict[str, Any]]:
    """The rows and their metrics; `source` is `own` with the positive class of the options."""
    rows = select_rows(source, options)
    if options.threshold is None and source.positive != own.positive:
        # The table's threshold is on the other class, which is predicted below it.
        rows.labelled.thresholds = {1 - t for t in rows.labelled.thresholds}
    return rows, _metrics(rows, source, options)


def _metrics(rows: SelectedRows, source: Source, options: EvaluateOptions) -> dict[str, Any]:
    """What metrics.json holds, except a comparison."""
    resampling = Resampling(options.resamples, options.seed)
    metrics = figures_of(
        rows.labelled, seen_patients=source.seen, seen_note=source.seen_note, resampling=resampling, unit=rows.kind
    )
    left_out = [f"{other}s are omitted; --kind {other} evaluates them" for other in rows.others]
    metrics["warnings"] += map(one_line, [*left_out, *source.remarks, *rows.changes.remarks()])
    thresholds = metrics["decision"]["thresholds"]
    return metrics | {
        "table": {
            "path": str(source.table),
            "model": source.model,
            "split": source.split,
            "classes": list(source.classes),
        },
        "labels": _labels_entry(rows.changes.relabel),
        "bootstrap": {"resamples": options.resamples, "seed": options.seed},
        "leaks": list(map(one_line, source.leaks)),
        "may_leak": "" if source.leaks else split_stamp(source.split_by),
        "thresholds": _thresholds(_tested(rows, source), thresholds, OWN if options.threshold is None else GIVEN),
    }


def _tested(rows: SelectedRows, source: Source) -> Scores:
    """The labelled rows that the model was not trained on; all of them if there are no others."""
    return set_apart(rows.labelled.scores, rows.labelled.seen, source.seen).tested


def _against(other: Path, kind: Kind, source: Source, options: EvaluateOptions) -> tuple[dict[str, Any], Pairs]:
    """The comparison with another table."""
    changes = changes_of(source, options)
    return compare_tables(
        source,
        _source(other, options),
        in_turn(only(kind), changes.together),
        threshold=options.threshold,
        relabelled=changes.relabel is not None,
        resampling=Resampling(options.resamples, options.seed),
    )


def _source(table: Path, options: EvaluateOptions) -> Source:
    return read_source(table, options.positive, decided=options.threshold is not None)


def _with_positive(source: Source, options: EvaluateOptions) -> Source:
    """The source with the positive class of the options.

    Raises:
        OptionError: it is not one of the two classes, or there are more than two.
    """
    known = ", ".join(source.classes)
    if len(source.classes) != 2:
        for flag, value in (("--positive", options.positive), ("--threshold", options.threshold)):
            if value is not None:
                raise OptionError(f"{flag} requires two classes; {source.table} has {known}", fix=f"omit {flag}")
        return source
    if options.positive is None:
        return source
    if options.positive not in source.classes:
        raise OptionError(f"unknown class {options.positive!r} for --positive", fix=f"choose one of: {known}")
    return replace(source, positive=options.positive, classes=tuple(in_order(source.classes, options.positive)))


def _clear(out: Path) -> None:
    """Prepare the folder: no plot of an earlier report may outlive its figures; all other files are left."""
    from cancernet_cli.engine.evaluate.plots import NAMES_OF_FILES

    old = [
        out / METRICS_FILE,
        out / REPORT_FILE,
        out / PAGE_FILE,
        *(out / PLOTS / f"{name}.png" for name in NAMES_OF_FILES),
    ]
    try:
        for path in old:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # not there, or it holds something else
            (out / PLOTS).rmdir()
        mark_output(out)
    except OSError as error:
        raise output_error(out, error) from error


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
    """The threshold table for two classes: a grid, the threshold in use, and the best one for these labels."""
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
    # A float32 has seven digits.
    return [
        {**row, "threshold": round(row["threshold"], 7), "note": "; ".join(notes[row["threshold"]])} for row in rows
    ]


def _draw(
    scores: Scores, metrics: dict[str, Any], pairs: Pairs | None, out: Path, report: Reporter
) -> tuple[dict[str, Path], dict[str, str]]:
    """Draw the plots; returns their files, and why the others cannot be drawn."""
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
