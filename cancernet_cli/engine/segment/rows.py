"""Nuclei of a file to its row in images.parquet, and to the row of a part."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cancernet_cli.core.nuclei import Nuclei
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.outputs.tables.nuclei import MEASURES, WHOLE, nuclei_batch
from cancernet_cli.outputs.tables.predictions import row_batch


def part_row(file: FoundFile, nuclei: Nuclei, number: int = WHOLE, *, error: str = "") -> pa.RecordBatch:
    """The row of a part with the nuclei of a file, or, with their outlines, of tile `number` of a slide."""
    values = {"label": nuclei.labels, **{name: getattr(nuclei, name) for name in MEASURES}}
    return nuclei_batch(file, number, values, error=error, outlines=None if number == WHOLE else nuclei.outlines)


def file_row(file: FoundFile, model: str, found: dict[str, Any] | Failure, schema: pa.Schema) -> pa.RecordBatch:
    """The row of a file in a part of images.parquet.

    Args:
        found: the columns that depend on its content, or why there are none.
    """
    row: dict[str, Any] = {
        "path": file.path,
        "kind": file.kind,
        "status": "ok",
        "error": "",
        "flags": "",
        "patient": file.truth.patient,
        "slide": file.truth.slide,
        "magnification": file.truth.magnification,
        "mpp": file.truth.mpp,
        "model": model,
        "_size_bytes": file.size_bytes,
        "_mtime_ns": file.mtime_ns,
    }
    row |= {"status": "failed", "error": str(found)} if isinstance(found, Failure) else found
    return row_batch(row, 1, schema)


def summary(nuclei: Nuclei, *, area_px: float, tissue_px: float, mpp: float | None) -> dict[str, Any]:
    """Count, density and means of a file's nuclei, as columns of its row.

    Args:
        area_px: the area that the mask's fraction is of. tissue_px: the area of the tissue, which density is of.
        mpp: micrometers per pixel, None if unknown.
    """
    count = len(nuclei)
    tissue_mm2 = None if mpp is None else tissue_px * mpp**2 / 1e6
    mean_area = float(nuclei.area.mean(dtype=float)) if count else None
    return {
        "nuclei": count,
        "tissue_area_mm2": tissue_mm2,
        "nuclei_per_mm2": count / tissue_mm2 if tissue_mm2 else None,
        "mask_fraction": min(1.0, float(nuclei.area.sum(dtype=float)) / area_px) if area_px else None,
        "mean_area_px": mean_area,
        "mean_area_um2": None if mean_area is None or mpp is None else mean_area * mpp**2,
        "mean_hematoxylin": float(nuclei.hematoxylin.mean(dtype=float)) if count else None,
        "mean_eosin": float(nuclei.eosin.mean(dtype=float)) if count else None,
    }
