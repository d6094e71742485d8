"""Classify a folder from Python, as `cancernet classify` does, and read the table back.

python examples/classify_from_python.py [FOLDER] [TABLE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq

from cancernet_cli import ClassifyOptions, classify

SLIDES = Path(__file__).parent / "slides"


def main(folder: Path = SLIDES, out: Path = Path("predictions.parquet")) -> None:
    """Classify every image under `folder`, write the table to `out`, and print one line per image."""
    result = classify([folder], ClassifyOptions(out=out, overwrite=True))
    print(f"{result.ok} classified, {result.failed} failed, by {result.model}")

    table = pq.read_table(out, columns=["path", "status", "error", "label", "prob_malignant", "mask_fraction"])
    for row in table.to_pylist():
        if row["status"] == "ok":
            print(f"{row['path']:<32} {row['label']:<10} P(malignant) = {row['prob_malignant']:.3f}")
        else:
            print(f"{row['path']:<32} failed: {row['error']}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
