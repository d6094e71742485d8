"""Time and peak memory of `cancernet evaluate` on a very large table.

    python benchmarks/evaluate_scale.py --rows 5000000

The table is synthetic: patients with different numbers of images, two slides and four magnifications each, and
probabilities that tend to be right. The whole command is measured, with its report and plots.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import machine
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from processes import CANCERNET, measured

from cancernet_cli.outputs.tables.predictions import row_batch, table_schema

CLASSES = ("benign", "malignant")
MAGNIFICATIONS = np.array([40, 100, 200, 400], np.float32)
AT_ONCE = 250_000


def write_table(path: Path, rows: int, patients: int, seed: int = 0) -> Path:
    """Write the synthetic table of `rows` images."""
    rng = np.random.default_rng(seed)
    names = np.array([f"p{i:05d}" for i in range(patients)])
    share = rng.gamma(2, size=patients)
    difficulty = rng.normal(0, 1, patients)
    schema = table_schema(CLASSES, {"model": "synthetic", "split": "held-out", "positive": "malignant"})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, AT_ONCE):
            n = min(AT_ONCE, rows - start)
            who = np.sort(rng.choice(patients, n, p=share / share.sum()))
            true = who % 3 > 0
            logit = rng.normal(np.where(true, 1.0, -1.0) + difficulty[who], 1.2)
            prob = (1 / (1 + np.exp(-logit))).astype(np.float32)
            columns = {
                "path": [f"{start + i:08d}.png" for i in range(n)],
                "kind": "image",
                "status": "ok",
                "error": "",
                "flags": "",
                "label": np.where(prob >= 0.5, *CLASSES[::-1]),
                "prob_benign": 1 - prob,
                "prob_malignant": prob,
                "decision_threshold": 0.5,
                "patient": names[who],
                "slide": np.char.add(names[who], np.where(rng.random(n) < 0.5, "a", "b")),
                "magnification": rng.choice(MAGNIFICATIONS, n),
                "true_label": np.where(true, *CLASSES[::-1]),
                "model": "synthetic",
            }
            # Strings first: an array of NumPy strings does not become a dictionary
            plain = pa.schema([f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in schema])
            batch = row_batch(columns, n, plain)
            writer.write_table(pa.Table.from_batches([batch]).cast(schema))
    return path


def main() -> None:
    """Parse arguments, run and report; exit with 1 if it took too long or too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--patients", type=int, default=5_000)
    parser.add_argument("--limit-s", type=float, default=30.0, help="fail if it takes longer")
    parser.add_argument("--limit-mb", type=float, default=1000.0, help="fail if it needs more memory")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        table = write_table(Path(scratch) / "table.parquet", arguments.rows, arguments.patients)
        command = [*CANCERNET, "evaluate", str(table), "--out", str(Path(scratch) / "report"), "--format", "json"]
        taken = measured(command)
        images = json.loads(taken.stdout)["metrics"]["images"]

    peak_mb = taken.peak_rss_bytes / 1e6
    result = machine.facts() | {
        "rows": arguments.rows,
        "patients": arguments.patients,
        "seconds": round(taken.elapsed_s, 1),
        "peak_rss_mb": round(peak_mb),
        "auroc": images["auroc"],
    }
    machine.report("evaluate-scale", result, arguments.out)
    if taken.elapsed_s > arguments.limit_s or peak_mb > arguments.limit_mb:
        raise SystemExit(f"{taken.elapsed_s:.1f} s and {peak_mb:.0f} MB: more than allowed")


if __name__ == "__main__":
    main()
