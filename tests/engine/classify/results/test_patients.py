"""Patients and slides, pooled from the rows of a predictions table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cancernet_cli.core.cards import Abstain, Architecture, Card, Decision
from cancernet_cli.engine.classify.results import patients
from cancernet_cli.engine.classify.results.patients import write_patients
from cancernet_cli.metrics.patients import mean_of_patients
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.outputs.tables.predictions import row_batch, table_schema

CLASSES = ("benign", "malignant")
CARD = Card(
    name="tiny",
    task="classify",
    architecture=Architecture(classes=CLASSES),
    decision=Decision(positive="malignant", threshold=0.5, chosen_on="nothing"),
)


def pooled(tmp_path: Path, rows: list[dict[str, Any]], card: Card = CARD) -> list[dict[str, Any]]:
    """The rows of the patients of a table; `p` is short for the probability of malignant, without one a file failed."""
    columns: dict[str, list[Any]] = {}
    for name in ("kind", "patient", "slide", "true_label", "flags", "label", "seen_in_training"):
        columns[name] = [row.get(name, {"kind": "image", "flags": ""}.get(name)) for row in rows]
    probs = [row.get("p") for row in rows]
    columns["status"] = [row.get("status", "failed" if p is None else "ok") for row, p in zip(rows, probs, strict=True)]
    columns["prob_malignant"] = probs
    columns["prob_benign"] = [None if p is None else 1 - p for p in probs]
    table = pa.Table.from_batches([row_batch(columns, len(rows), table_schema(CLASSES, {}))])
    pq.write_table(table, tmp_path / "t.parquet")
    if not write_patients(tmp_path / "t.parquet", card, {"model": "tiny"}, tmp_path / "p.parquet"):
        return []
    found: list[dict[str, Any]] = pq.read_table(tmp_path / "p.parquet").to_pylist()
    return found


def test_a_patient_and_a_slide_are_the_mean_of_their_files(tmp_path: Path) -> None:
    rows = [
        {"patient": "b", "slide": "1", "p": 0.25, "true_label": "malignant", "flags": "dark"},
        {"patient": "a", "slide": "1", "p": 0.5, "true_label": "benign", "seen_in_training": True},
        {"patient": "b", "slide": "2", "p": 1.0, "true_label": "malignant", "flags": "blurred,dark"},
        {"patient": "b", "slide": "2", "true_label": "malignant"},
        {"p": 0.125},
    ]
    found = pooled(tmp_path, rows)
    shown = ("unit", "patient", "slide", "status", "label", "prob_malignant", "files", "ok", "failed", "flags")
    assert [tuple(row[name] for name in shown) for row in found] == [
        ("patient", "a", None, "ok", "malignant", 0.5, 1, 1, 0, ""),
        ("patient", "b", None, "partial", "malignant", 0.625, 3, 2, 1, "blurred,dark"),
        ("slide", "a", "1", "ok", "malignant", 0.5, 1, 1, 0, ""),
        ("slide", "b", "1", "ok", "benign", 0.25, 1, 1, 0, "dark"),
        ("slide", "b", "2", "partial", "malignant", 1.0, 2, 1, 1, "blurred,dark"),
    ]
    assert [row["true_label"] for row in found[:2]] == ["benign", "malignant"]
    assert [row["seen_in_training"] for row in found[:2]] == [True, None]
    assert found[1]["prob_benign"] + found[1]["prob_malignant"] == 1


def test_the_probability_is_that_of_evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patients, "_AT_ONCE", 7)  # patients go across batches
    generator = np.random.default_rng(0)
    p, who = generator.random(100).astype(np.float32).astype(float), generator.integers(0, 9, 100)
    found = pooled(tmp_path, [{"patient": f"p{w}", "p": x} for w, x in zip(who, p, strict=True)])
    expected = mean_of_patients(Scores.of(np.zeros(100, int), p, patients=who)).probs[:, 1]
    assert [row["prob_malignant"] for row in found] == pytest.approx(expected.tolist(), abs=1e-7)
    assert [row["files"] for row in found] == np.bincount(who).tolist()


def test_a_patient_is_unsure_in_the_band_or_with_a_flag_of_most_files(tmp_path: Path) -> None:
    careful = replace(CARD, decision=replace(CARD.decision, abstain=Abstain(low=0.4, high=0.6, flags=("dark",))))
    rows = [
        {"patient": "band", "p": 0.2},
        {"patient": "band", "p": 0.8, "label": "unsure"},
        {"patient": "few dark", "p": 0.9, "flags": "dark"},
        {"patient": "few dark", "p": 0.9},
        {"patient": "most dark", "p": 0.9, "flags": "dark"},
    ]
    found = {row["patient"]: row for row in pooled(tmp_path, rows, careful)}
    assert {name: row["label"] for name, row in found.items()} == {
        "band": "unsure",
        "few dark": "malignant",
        "most dark": "unsure",
    }
    assert found["band"]["unsure"] == 1


def test_a_patient_without_any_prediction_or_with_two_labels(tmp_path: Path) -> None:
    rows = [
        {"patient": "gone", "true_label": "benign"},
        {"patient": "two", "p": 0.9, "true_label": "benign"},
        {"patient": "two", "p": 0.9, "true_label": "malignant"},
    ]
    gone, two = pooled(tmp_path, rows)
    assert (gone["status"], gone["label"], gone["prob_malignant"], gone["true_label"]) == (
        "failed",
        None,
        None,
        "benign",
    )
    assert two["true_label"] is None


def test_images_and_whole_slides_are_not_pooled_together(tmp_path: Path) -> None:
    rows = [{"patient": "a", "p": 0.25}, {"patient": "a", "p": 0.75, "kind": "slide", "status": "partial"}]
    found = [(row["kind"], row["prob_malignant"], row["status"]) for row in pooled(tmp_path, rows)]
    assert found == [("image", 0.25, "ok"), ("slide", 0.75, "partial")]


def test_nothing_is_written_if_no_patient_and_no_slide_is_known(tmp_path: Path) -> None:
    assert pooled(tmp_path, [{"p": 0.5}]) == []
    assert not (tmp_path / "p.parquet").exists()
