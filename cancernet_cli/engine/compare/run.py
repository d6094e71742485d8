"""`cancernet compare`: every network with every segmenter on the same patients, baselines, and a leaking split."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cancernet_cli.core import interruption
from cancernet_cli.core.events import Note, Reporter, silent
from cancernet_cli.core.files import mark_output, output_error, write_bytes
from cancernet_cli.core.options import CompareOptions
from cancernet_cli.core.options.base import chosen, input_names
from cancernet_cli.core.results import Result, table_of
from cancernet_cli.engine.compare.baselines import DESCRIPTIONS, baseline_cell, handcrafted_features
from cancernet_cli.engine.compare.networks import Start, network_cell, start_backbone
from cancernet_cli.engine.compare.page import comparison_page
from cancernet_cli.engine.compare.plan import Cell, comparison_recipe, decided_by, finished_cells, list_cells
from cancernet_cli.engine.compare.plots import draw_plots
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages, list_images
from cancernet_cli.engine.finetune.frozen.feature_store import Features
from cancernet_cli.engine.provenance import circumstances
from cancernet_cli.inference.runtime import Runtime, resolve
from cancernet_cli.outputs.report.page import write_page
from cancernet_cli.outputs.reports.comparison_table import headline, table_row, write_tables
from cancernet_cli.outputs.tables.workspace import Workspace


@dataclass(frozen=True)
class ComparisonResult(Result):
    """A finished comparison.

    Attributes:
        out: The folder with tables, plots and cells.
        comparison: The contents of `table.json`.
        reused: The number of cells that had been finished by an earlier run.
        elapsed_s: Duration of this run.
    """

    out: Path
    comparison: dict[str, Any]
    reused: int
    elapsed_s: float

    def table(self) -> pa.Table:
        """The comparison, one row per network and segmenter."""
        return table_of(self.comparison["rows"])


def compare(
    data: str | Path | Sequence[str | Path],
    options: CompareOptions | None = None,
    report: Reporter = silent,
    **changes: Any,
) -> ComparisonResult:
    """Train and test each network with each segmenter on the same patient-level folds, and tabulate the results.

    The figures, out-of-fold predictions and history of each cell are in `<out>/cells/<name>/`. Finished cells are not
    computed again; an interrupted cell resumes with the features it has.

    Args:
        data: The same inputs as for `finetune`, for classification.
        options: Which networks and segmenters to compare, on which folds.
        report: Called with progress, notes and warnings (`core.events`).
        changes: Options by name that override `options`, as in `compare("BreaKHis_v1", networks="VGG16")`.

    Returns:
        The table and the folder that holds it.

    Raises:
        InputError: An image list is not usable, or its folds leak.
        ModelError: A network, segmenter or weights file is unknown or does not match.
        OutputError: Existing cells were made with other options and `overwrite` is off, or a file cannot be written.
    """
    started = time.monotonic()
    options, data = chosen(CompareOptions, options, changes), input_names(data)
    cells, runtime = list_cells(options), resolve(options)
    images = list_images(data, options, report)
    keys = {cell.name: decided_by(cell, images, options, runtime) for cell in cells}
    folder = options.out / "cells"
    try:
        mark_output(options.out)
    except OSError as error:
        raise output_error(options.out, error) from error
    workspace = Workspace(folder)  # no second run may write the same cells
    try:
        found = finished_cells(keys, folder, overwrite=options.overwrite)
        if reused := len(found):
            report(Note(f"{reused} of {len(cells)} cells were already finished"))
        make = _cell_maker(images, options, runtime, folder, report)
        for cell in cells:
            if cell.name not in found:
                found[cell.name] = make(cell, keys[cell.name])
                report(Note(headline(table_row(found[cell.name]))))
            interruption.check("finished cells are kept")
        del make  # closes the handcrafted features before their files are removed
        for kind in DESCRIPTIONS:
            shutil.rmtree(folder / f"features-{kind}", ignore_errors=True)
        result = _contents(images, options, [found[cell.name] for cell in cells])
        write_tables(result, options.out)
        elapsed_s = time.monotonic() - started
        record = {**circumstances(options), "data": list(data), "reused": reused, "elapsed_s": round(elapsed_s, 3)}
        write_bytes(options.out / "run.json", (json.dumps(record, indent=2) + "\n").encode())
        write_page(comparison_page(result, cells, folder), options.out / "report.html")
        draw_plots([(cell, found[cell.name]) for cell in cells], folder, options.out / "plots", result["leaks"])
    finally:
        workspace.close()
    return ComparisonResult(options.out, result, reused, time.monotonic() - started)


def _cell_maker(
    images: LabelledImages, options: CompareOptions, runtime: Runtime, folder: Path, report: Reporter
) -> Callable[[Cell, dict[str, Any]], dict[str, Any]]:
    """A function that makes a cell; consecutive cells share a network's first weights or the handcrafted features."""
    recipe = comparison_recipe(options)

    @lru_cache(maxsize=1)
    def start(network: str, weights: str) -> Start:
        return start_backbone(network, weights, recipe, options.seed, report)

    @lru_cache(maxsize=1)
    def described(kind: str) -> Features:
        return handcrafted_features(kind, images, options, runtime, folder / f"features-{kind}", report)

    def make(cell: Cell, key: dict[str, Any]) -> dict[str, Any]:
        to = folder / cell.name
        if cell.is_baseline:
            return baseline_cell(cell, images, described(cell.network), options, to, key)
        return network_cell(cell, start(cell.network, cell.weights), images, options, runtime, recipe, to, key, report)

    return make


def _contents(images: LabelledImages, options: CompareOptions, cells: list[dict[str, Any]]) -> dict[str, Any]:
    """The contents of `table.json`."""
    folds = len(np.unique(images.folds))
    return {
        "schema": 1,
        "recipe": options.recipe,
        "seed": options.seed,
        "classes": list(images.classes),
        "images": len(images.files),
        "patients": len(np.unique(images.patients)),
        "split": f"{folds} folds by patient" if images.splits is None else "one split by patient",
        "leaks": list(images.leaks),
        "leaking": options.leaking,
        "rows": [table_row(cell) for cell in cells],
    }
