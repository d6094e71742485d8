"""A whole comparison of a tiny network: the table, what it is made of, and going on after a stop."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from cancernet_cli.classification import build_backbone, pretrained
from cancernet_cli.core.errors import ModelError, OptionError, OutputError
from cancernet_cli.core.events import Event, StageStarted, Warn, silent
from cancernet_cli.core.options import CompareOptions
from cancernet_cli.engine.compare import networks as compare_networks
from cancernet_cli.engine.compare.run import ComparisonResult, compare
from tests.he_images import he_like

NETWORK = "test_efficientnet"


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, four patients each, two images a patient; one file that is no image."""
    root = tmp_path_factory.mktemp("labelled")
    for seed in range(16):
        patient, malignant = seed // 2, seed // 2 % 2
        label, code = ("malignant", "M_DC") if malignant else ("benign", "B_A")
        path = root / label / f"SOB_{code}-14-{1000 + patient}-100-{seed:03d}.png"
        path.parent.mkdir(exist_ok=True)
        image = he_like(seed, 64, 48).astype(int) - 40 * malignant
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)
    (root / "malignant" / "SOB_M_DC-14-1001-100-999.png").write_bytes(b"no image")
    return root


def options(out: Path, **changed: object) -> CompareOptions:
    given = {"backbones": NETWORK, "segmenters": "none,threshold", "weights": "none", "folds": 2, "epochs": 2}
    given |= {"device": "cpu", "workers": 0, "out": out}
    return CompareOptions(**(given | changed))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> ComparisonResult:
    return compare([str(labelled)], options(tmp_path_factory.mktemp("finished") / "out"))


@pytest.fixture(autouse=True)
def no_plots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """`finished`, which is made before this, has drawn them once: that is enough."""
    request.getfixturevalue("finished")
    monkeypatch.setattr("cancernet_cli.engine.compare.run.draw_plots", lambda *arguments: None)


def test_every_cell_has_a_row_in_the_order_asked_for(finished: ComparisonResult) -> None:
    rows = finished.comparison["rows"]
    assert [(row["network"], row["segmenter"], row["classifier"]) for row in rows] == [
        (NETWORK, "none", "softmax"),
        (NETWORK, "threshold", "softmax"),
        ("colour", "none", "logistic"),
        ("texture", "none", "svm"),
        ("texture", "none", "naive-bayes"),
    ]
    assert all(row["images"] == 16 and row["patients"] == 8 for row in rows)
    assert [row["random_weights"] for row in rows] == [True, True, False, False, False]
    assert rows[0]["features"] == 64 * 49
    assert rows[2]["features"] == 12
    assert rows[2]["auroc"] == 1, "malignant images were made darker"


def test_figures_are_those_of_the_predictions(finished: ComparisonResult) -> None:
    row = finished.comparison["rows"][0]
    table = pq.read_table(finished.out / "cells" / f"{NETWORK}-none" / "predictions.parquet").to_pydict()
    true = np.array(table["true_label"]) == "malignant"
    probs = np.array(table["prob_malignant"])
    assert len(true) == 16
    assert row["accuracy"] == pytest.approx(accuracy_score(true, probs > 0.5))
    assert row["auroc"] == pytest.approx(roc_auc_score(true, probs))
    assert row["log_loss"] == pytest.approx(log_loss(true, probs), rel=1e-4)
    assert row["tp"] + row["fn"] == true.sum()
    assert row["tp"] == (true & (probs > 0.5)).sum()
    assert row["auroc_low"] <= row["auroc"] <= row["auroc_high"]


def test_files_and_plots_are_there(finished: ComparisonResult) -> None:
    out = finished.out
    assert json.loads((out / "table.json").read_text()) == finished.comparison
    record = json.loads((out / "run.json").read_text())
    assert record["options"]["seed"] == finished.comparison["seed"]
    assert record["machine"]["cores"] >= 1
    assert "torch" in record["versions"]
    assert record["elapsed_s"] > 0
    assert pq.read_table(out / "table.parquet").to_pylist() == finished.comparison["rows"]
    text = (out / "table.md").read_text()
    assert f"{NETWORK} (random weights)" in text
    assert "Not a result, but what such a split would have claimed" in text
    page = (out / "report.html").read_text()
    assert '"leaking":true' in page
    assert "Figures on unseen patients" in page
    plots = {path.name for path in (out / "plots").iterdir()}
    assert {f"accuracy-{NETWORK}.png", f"loss-{NETWORK}.png", "auroc.png", "confusion-colour-logistic.png"} < plots
    history = pq.read_table(out / "cells" / f"{NETWORK}-threshold" / "history.parquet").to_pylist()
    assert [(row["split"], row["epoch"]) for row in history] == [
        ("fold_0", 1), ("fold_0", 2), ("fold_1", 1), ("fold_1", 2)
    ]  # fmt: skip
    left = [path.name for path in out.rglob("features*")]
    assert left == [], "features are removed once a cell is finished"


def test_the_file_that_is_no_image_is_told(finished: ComparisonResult) -> None:
    cell = json.loads((finished.out / "cells" / f"{NETWORK}-none" / "cell.json").read_text())
    assert [Path(name).name for name in cell["left_out"]] == ["SOB_M_DC-14-1001-100-999.png"]


def test_a_finished_comparison_is_used_again_and_can_grow(labelled: Path, finished: ComparisonResult) -> None:
    told: list[Event] = []
    again = compare([str(labelled)], options(finished.out), told.append)
    assert again.reused == 5
    assert again.comparison == finished.comparison
    assert not [event for event in told if isinstance(event, StageStarted) and "features" in event.stage]
    grown = compare([str(labelled)], options(finished.out, segmenters="watershed,none", baselines=False))
    assert grown.reused == 1
    assert [row["segmenter"] for row in grown.comparison["rows"]] == ["watershed", "none"]


def test_cells_made_otherwise_are_refused_unless_they_may_be_replaced(labelled: Path, tmp_path: Path) -> None:
    small = {"segmenters": "none", "baselines": False, "leaking": False}
    compare([str(labelled)], options(tmp_path / "out", **small))
    with pytest.raises(OutputError, match=r"test_efficientnet-none was made with epochs 2 \(now 3\); .*--overwrite"):
        compare([str(labelled)], options(tmp_path / "out", epochs=3, **small))
    replaced = compare([str(labelled)], options(tmp_path / "out", epochs=3, overwrite=True, **small))
    assert replaced.reused == 0
    assert replaced.comparison["rows"][0]["leaking_auroc"] is None


def test_a_stopped_comparison_goes_on_and_ends_alike(
    labelled: Path, finished: ComparisonResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = compare_networks.network_cell, []

    def dies_at_the_second(*arguments: object) -> object:
        calls.append(arguments[0])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("cancernet_cli.engine.compare.run.network_cell", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        compare([str(labelled)], options(tmp_path / "out", baselines=False))
    monkeypatch.setattr("cancernet_cli.engine.compare.run.network_cell", real)
    result = compare([str(labelled)], options(tmp_path / "out", baselines=False))
    assert result.reused == 1

    def plain(found: ComparisonResult) -> list[dict[str, object]]:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in found.comparison["rows"]]

    assert plain(result) == plain(finished)[:2]


def test_a_single_split_scores_its_test_alone(labelled: Path, tmp_path: Path) -> None:
    once = options(tmp_path / "out", folds=1, test_share=0.25, segmenters="none", baselines=False)
    result = compare([str(labelled)], once)
    assert result.comparison["split"] == "one split by patient"
    (row,) = result.comparison["rows"]
    assert row["tn"] + row["fp"] + row["fn"] + row["tp"] == 4
    assert row["leaking_accuracy"] is not None


def test_without_imagenet_weights_a_network_starts_from_random_ones_and_says_so(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(name: str) -> object:
        raise ModelError("the ImageNet weights cannot be fetched here", fix="bring them")

    monkeypatch.setattr(pretrained, "_from_hub", offline)
    told: list[Event] = []
    small = options(tmp_path / "out", weights="imagenet", segmenters="none", baselines=False, leaking=False)
    result = compare([str(labelled)], small, told.append)
    warnings = [event.message for event in told if isinstance(event, Warn)]
    assert any(w.startswith(f"{NETWORK} starts from random weights: the ImageNet weights cannot") for w in warnings)
    assert result.comparison["rows"][0]["random_weights"]
    assert result.comparison["rows"][0]["weights"] == "random weights"


def test_weights_come_from_a_file_that_is_named(labelled: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = build_backbone(NETWORK, (4,))
    save_file(network.network.state_dict(), tmp_path / "w.safetensors")  # type: ignore[union-attr,operator]
    small = {"segmenters": "none", "baselines": False, "leaking": False, "recipe": "modern"}
    named = f"{NETWORK}={tmp_path / 'w.safetensors'}"
    result = compare([str(labelled)], options(tmp_path / "out", weights=named, **small))
    (row,) = result.comparison["rows"]
    assert row["weights"] == "w.safetensors"
    assert not row["random_weights"]
    assert row["classifier"] == "logistic"


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"weights": "file.safetensors"}, OptionError, "give imagenet, none, or name=file"),
        ({"weights": "vgg16=file.safetensors"}, OptionError, "names 'vgg16', which is not compared"),
        ({"weights": f"{NETWORK}=nowhere.safetensors"}, OptionError, "file not found"),
        ({"backbones": "vgg16,vgg16"}, OptionError, "one or more distinct names"),
        ({"segmenters": ""}, OptionError, "one or more distinct names"),
        ({"backbones": "vgg61"}, ModelError, "unknown backbone 'vgg61'"),
        ({"segmenters": "unett"}, ModelError, "unknown segmenter 'unett'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    labelled: Path, tmp_path: Path, changed: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        compare([str(labelled)], options(tmp_path / "out", **changed), silent)
    assert not (tmp_path / "out").exists()
