"""The choice of the best value of a sweep."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.engine.bench.sweep import best, probability_difference


def write_probs(path: Path, names: list[str], probs: list[float | None]) -> Path:
    pq.write_table(pa.table({"path": names, "prob_malignant": pa.array(probs, pa.float32())}), path)
    return path


def test_the_largest_difference_of_probabilities(tmp_path: Path) -> None:
    one = write_probs(tmp_path / "1.parquet", ["a", "b", "c"], [0.5, 0.25, None])
    two = write_probs(tmp_path / "2.parquet", ["b", "a", "c"], [0.375, 0.5, None])
    assert probability_difference(one, two) == 0.125
    failed = write_probs(tmp_path / "3.parquet", ["a", "b", "c"], [0.5, None, None])
    assert probability_difference(one, failed) is None
    assert probability_difference(one, write_probs(tmp_path / "4.parquet", ["a"], [0.5])) is None


def row(name: str, value: object, rate: float, **more: object) -> dict[str, object]:
    return {name: value, "images_per_s": {"median": rate, "min": rate, "max": rate}, "is_steady": True, **more}


def test_the_cheapest_value_close_to_the_best_wins() -> None:
    rows = [row("batch_size", 64, 100), row("batch_size", 16, 98), row("batch_size", 1, 50)]
    assert best("batch_size", [*rows, {"batch_size": 256, "error": "too large"}]) == 16
    assert best("workers", [{"workers": 1, "error": "no"}]) is None


def test_no_precision_is_advised_that_changes_probabilities() -> None:
    rows = [
        row("precision", "fp32", 10, probability_difference=0.0),
        row("precision", "bf16", 20, probability_difference=2e-3),
        row("precision", "fp16", 15, probability_difference=5e-4),
        row("precision", "int8", 90, probability_difference=0.0),
    ]
    assert best("precision", rows) == "fp16"
    assert best("precision", [rows[0], rows[1], rows[3]]) == "fp32"
    assert best("precision", [row("precision", "bf16", 20, probability_difference=None)]) is None


def test_what_could_not_be_measured_is_not_advised() -> None:
    spread = {"median": 300.0, "min": 300.0, "max": 300.0}
    rows = [
        {"batch_size": 8, "images_per_s": {"median": 50.0, "min": 50.0, "max": 50.0}, "is_steady": True},
        {"batch_size": 32, "images_per_s": spread, "is_steady": False},
    ]
    assert best("batch_size", rows) == 8
