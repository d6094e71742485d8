"""Repeated divisions into folds, through `finetune`: on the card, in the report, and in the decision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from cancernet_cli import FinetuneOptions, finetune
from cancernet_cli.cli.render.card import card_parts, headline
from cancernet_cli.core.cards import read_card
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.events import Event, Note
from cancernet_cli.core.figures import Figure
from cancernet_cli.engine.finetune.dataset.labelled_images import Division, LabelledImages
from cancernet_cli.engine.finetune.figures import decide, final_decision, held_out_by_division
from cancernet_cli.outputs.reports.history import HISTORY_FILE, read_history
from tests.engine.finetune.test_run import classify_options, labelled

__all__ = ["labelled"]  # the fixture


@pytest.fixture(scope="module")
def repeated(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("repeated") / "model"
    finetune([str(labelled)], classify_options(out, repeats=3))
    return out


def test_the_card_has_mean_interval_and_every_value(repeated: Path) -> None:
    card = read_card(repeated)
    divisions = card.metrics["divisions"]
    assert divisions["count"] == 3
    for name, figure in divisions["images"].items():
        if name != "patients":
            values = [float(value) for value in figure["each"].split()]
            assert len(values) == 3, name
            assert figure["value"] == pytest.approx(np.mean(values), abs=1e-4), name
    first = card.metrics["out_of_fold"]["images"]["case_weighted_auroc"]["value"]
    assert divisions["images"]["case_weighted_auroc"]["each"].split()[0] == f"{first:.4f}"
    assert divisions["patients"]["count"] == divisions["images"]["patients"] == 8
    assert divisions["by_magnification"]["100"]["patients"] == 8
    assert card.decision.chosen_on.endswith("(3 divisions into 2 folds, no patient in two)")
    assert headline(card).startswith("case-weighted AUROC ")


def test_terminal_and_report_show_the_spread(repeated: Path) -> None:
    card = read_card(repeated)
    console = Console(width=100, no_color=True)
    with console.capture() as captured:
        console.print(*card_parts(card, repeated, full=True), sep="\n")
    shown = captured.get()
    figure = Figure.from_json(card.metrics["divisions"]["images"]["case_weighted_ece"])
    assert "Held-out patients, mean of 3 divisions into folds" in shown
    low, high = figure.spread or (0, 0)
    line = next(line for line in shown.splitlines() if line.startswith("case-weighted ECE"))
    assert line.split()[2:] == [figure.text(), f"{low:.2f}", "to", f"{high:.2f}", "8"]
    assert "out_of_fold" not in shown
    with console.capture() as captured:
        console.print(*card_parts(card, repeated), sep="\n")
    assert "means of 3 divisions into folds; case-weighted AUROC" in " ".join(captured.get().split())

    found = json.loads((repeated / "evaluation" / "metrics.json").read_text())
    report = (repeated / "evaluation" / "report.md").read_text()
    assert "## Mean of 3 divisions into folds" in report
    values = found["divisions"]["images"]["case_weighted_ece"]["each"]
    row = next(line for line in report.splitlines() if line.startswith("| case-weighted ECE |"))
    assert [cell.strip() for cell in row.split("|")[-4:-1]] == [f"{value:.3f}" for value in values]


def test_the_first_division_and_the_weights_do_not_depend_on_repeats(
    labelled: Path, repeated: Path, tmp_path: Path
) -> None:
    finetune([str(labelled)], classify_options(tmp_path / "model", repeats=1))
    one, three = read_card(tmp_path / "model"), read_card(repeated)
    assert one.weights.sha256 == three.weights.sha256
    assert "divisions" not in one.metrics
    ranked = [card.metrics["out_of_fold"]["patients"]["auroc"] for card in (one, three)]
    assert ranked[0]["count"] == ranked[1]["count"]
    assert one.training.splits == three.training.splits


def test_a_fine_tuned_backbone_repeats_when_asked(labelled: Path, tmp_path: Path) -> None:
    said: list[Event] = []
    options = classify_options(
        tmp_path / "model", unfreeze=1, epochs=1, segmenter="none", sampling="natural", repeats=2
    )
    finetune([str(labelled)], options, said.append)
    card = read_card(tmp_path / "model")
    assert card.metrics["divisions"]["count"] == 2
    assert len(card.metrics["divisions"]["images"]["auroc"]["each"].split()) == 2
    assert "2 divisions into 2 folds" in [event.message for event in said if isinstance(event, Note)]
    trained = {epoch.split for epoch in read_history(tmp_path / "model" / HISTORY_FILE)}
    assert trained == {"fold_0", "fold_1", "division_2_fold_0", "division_2_fold_1", "final"}


def test_a_single_split_and_a_unet_cannot_be_repeated(labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="there is a single split") as caught:
        finetune([str(labelled)], classify_options(tmp_path / "model", folds=1, repeats=2))
    assert "omit --repeats" in str(caught.value.fix)
    with pytest.raises(OptionError, match="--repeats is for classifiers"):
        FinetuneOptions(task="segment", repeats=2)


def toy(divisions: int) -> tuple[LabelledImages, list[Division]]:
    """Twelve images of six patients; in each division other logits and other folds."""
    rng = np.random.default_rng(0)
    patients = np.repeat([f"p{i}" for i in range(6)], [1, 3, 2, 1, 4, 1])
    labels = (np.char.lstrip(patients, "p").astype(int) % 2).astype(np.int64)
    plain: dict[str, Any] = {"files": [None] * 12, "classes": ("a", "b"), "labels": labels, "patients": patients}
    plain |= {"unknown_patients": np.zeros(12, bool), "slides": np.full(12, ""), "magnifications": np.full(12, 40.0)}
    found = []
    for number in range(divisions):
        folds = (np.char.lstrip(patients, "p").astype(int) // 2 + number) % 3
        z = rng.normal(labels - 0.5, 1.5)
        found.append(Division(folds.astype(np.int64), np.column_stack([-z, z])))
    return LabelledImages(**plain, groups=patients, folds=found[0].folds), found


def test_a_decision_is_made_on_all_divisions_with_equal_weight_for_every_case() -> None:
    images, divisions = toy(3)
    logits = np.stack([division.logits for division in divisions])
    found = final_decision(logits, images)
    expected = decide(np.concatenate(logits), np.tile(images.labels, 3), np.tile(images.patients, 3), images.classes)
    assert (found.temperature, found.threshold) == (expected.temperature, expected.threshold)

    held = held_out_by_division(divisions, images)
    for division, one in zip(divisions, held, strict=True):
        for fold in range(3):
            test, others = division.folds == fold, division.folds != fold
            expected = decide(
                np.concatenate(logits[:, others]),
                np.tile(images.labels[others], 3),
                np.tile(images.patients[others], 3),
                images.classes,
            )
            assert set(one.thresholds[test]) == {np.float64(np.float32(expected.threshold))}
