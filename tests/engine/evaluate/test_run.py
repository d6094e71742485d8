"""Evaluating a finished table: figures, labels, thresholds, refusals, the files."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, roc_curve

from cancernet_cli import EvaluateOptions, evaluate
from cancernet_cli.core.cards import CARD_FILE, Architecture, Card, Decision, Training, Weights, file_sha256, write_card
from cancernet_cli.core.errors import InputError, OptionError, OutputError
from cancernet_cli.core.files import OUTPUT_MARKER
from cancernet_cli.engine.evaluate.run import OWN, YOUDEN, Evaluation, stamps
from cancernet_cli.engine.evaluate.summary import summarise
from cancernet_cli.outputs.plots import canvas
from tests.prediction_tables import CLASSES, OURS, write_predictions

QUICK: dict[str, Any] = {"resamples": 100, "plots": False}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_predictions(tmp_path / "preds.parquet", metadata=OURS)


def quick(path: Path, **more: Any) -> Evaluation:
    return evaluate(path, EvaluateOptions(**{**QUICK, **more}))


def columns(path: Path) -> dict[str, Any]:
    return {name: np.array(values) for name, values in pq.read_table(path).to_pydict().items()}


def test_the_figures_are_those_of_classify_and_of_scikit_learn(table: Path) -> None:
    found = evaluate(table, plots=False).metrics
    summary = summarise(table, positive="malignant", classes=CLASSES)
    assert summary is not None
    for name in ("images", "by_magnification", "by_slide", "by_patient", "decision"):
        assert found[name] == summary[name]
    data = columns(table)
    true = data["true_label"] == "malignant"
    assert found["images"]["auroc"]["value"] == pytest.approx(roc_auc_score(true, data["prob_malignant"]))
    assert found["images"]["accuracy"]["value"] == (data["label"] == data["true_label"]).mean()
    assert found["images"]["patients"] == 16
    assert (found["by_slide"]["count"], found["by_patient"]["count"]) == (32, 16)
    assert found["images"]["auroc"]["resamples"] == 1000
    assert found["by_magnification"].keys() == {"40", "100"}


def test_the_threshold_table_marks_its_own_and_the_optimistic_one(table: Path) -> None:
    found = quick(table).metrics["thresholds"]
    data = columns(table)
    true = data["true_label"] == "malignant"
    own = next(row for row in found if row["note"] == OWN)
    assert own["threshold"] == 0.4
    called = data["label"] == "malignant"
    assert own["sensitivity"] == called[true].mean()
    assert own["specificity"] == (~called[~true]).mean()
    best = next(row for row in found if row["note"] == YOUDEN)
    false_positives, true_positives, _ = roc_curve(true, data["prob_malignant"])
    assert 2 * best["balanced_accuracy"] - 1 == pytest.approx((true_positives - false_positives).max())
    assert best["balanced_accuracy"] == balanced_accuracy_score(true, data["prob_malignant"] >= best["threshold"])
    assert [row["threshold"] for row in found] == sorted(row["threshold"] for row in found)
    assert {0.05, 0.5, 0.95} <= {row["threshold"] for row in found}


def test_patients_are_taken_from_paths_where_the_pattern_matches(table: Path) -> None:
    paths = columns(table)["path"]
    found = quick(table, patient_pattern=r"(\d)\.").metrics
    assert found["images"]["patients"] == len({path[path.index(".") - 1] for path in paths}) == 10
    with pytest.raises(InputError, match="matches no path"):
        quick(table, patient_pattern="(nowhere)", out=table.parent / "other")


def test_another_threshold_decides_again(table: Path) -> None:
    found = quick(table, threshold=0.7).metrics
    p = columns(table)["prob_malignant"]
    assert found["images"]["confusion"]["tp"] + found["images"]["confusion"]["fp"] == (p >= np.float32(0.7)).sum()
    assert found["decision"]["thresholds"] == [float(np.float32(0.7))]
    assert [row["threshold"] for row in found["thresholds"] if "threshold" in row["note"]] == [0.7]


def test_the_other_class_as_the_positive_one_turns_the_figures_round(table: Path) -> None:
    one, other = (quick(table, out=table.parent / name, positive=name).metrics for name in CLASSES)
    assert one["images"]["recall"]["value"] == other["images"]["specificity"]["value"]
    assert one["images"]["auroc"]["value"] == pytest.approx(other["images"]["auroc"]["value"])
    (threshold,) = one["decision"]["thresholds"]
    assert threshold == pytest.approx(0.6)
    own = next(row for row in one["thresholds"] if row["note"] == OWN)
    assert own["sensitivity"] == one["images"]["recall"]["value"]


def test_labels_from_a_file_replace_those_of_the_table(table: Path) -> None:
    rows = [f"{path},Benign,q{i // 8}" for i, path in enumerate(columns(table)["path"][:40])]
    rows += [f"{path},malignant," for path in columns(table)["path"][40:78]]
    labels = table.parent / "elsewhere" / "labels.csv"
    labels.parent.mkdir()
    labels.write_text("\n".join(["path,label,patient", *rows, "not/there.png,benign,q0"]))
    found = quick(table, labels=labels).metrics
    assert found["images"]["labels"] == {"benign": 40, "malignant": 38}
    assert found["labels"] == {"from": "--labels", "file": str(labels), "rows_labelled": 78, "rows_without": 2}
    # five patients of the file, and the table's own where the file has none
    assert found["by_patient"]["count"] == 5 + 16
    assert "2 of 80 rows of the table have no label in labels.csv" in found["warnings"]
    assert any(f"1 of 79 rows in {labels} match no file" in words for words in found["warnings"])


def test_labels_are_found_where_the_run_was_made(tmp_path: Path) -> None:
    table = write_predictions(tmp_path / "preds.parquet", metadata=OURS, true_label=None)
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "preds.run.json").write_text(json.dumps({"folder": str(folder)}))
    names = [folder / path for path in columns(table)["path"]]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *(f"{n},{n.parent.name}" for n in names)]))
    assert quick(table, labels=tmp_path / "labels.csv").metrics["images"]["count"] == 80


def test_labels_that_match_nothing_are_refused(table: Path) -> None:
    labels = table.parent / "labels.csv"
    labels.write_text("path,label\nother.png,benign\n")
    with pytest.raises(InputError, match=r"no path in .*labels.csv is in .*; write paths as in the table's column"):
        quick(table, labels=labels)
    with pytest.raises(InputError, match=r"--labels: file not found: .*nowhere.csv; name a CSV or Parquet file"):
        quick(table, labels=table.parent / "nowhere.csv")
    assert not table.with_name("preds.evaluation").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"true_label": None}, "has no labels: `true_label` is empty in every row; provide labels with --labels FILE"),
        ({"true_label": ["cat"] * 80}, r"the labels in .* \('cat'\) are not among its classes"),
        ({"status": ["failed"] * 80}, "no labelled image in .* has a prediction"),
        ({"metadata": None}, "is not a predictions table: it has no CancerNet metadata"),
        ({"prob_benign": None}, "has 1 columns prob_<class>"),
    ],
)
def test_what_cannot_be_measured_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_predictions(tmp_path / "t.parquet", **{"metadata": OURS, **change})
    with pytest.raises(InputError, match=message):
        quick(path)
    assert not (tmp_path / "t.evaluation").exists()


def test_no_file_and_no_parquet_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"file not found: .*nothing.parquet; name a Parquet or CSV table"):
        quick(tmp_path / "nothing.parquet")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(InputError, match=r"cannot be read as a table: .*; name a Parquet or CSV table that"):
        quick(tmp_path / "text.parquet")


def test_an_unknown_positive_class_is_refused(table: Path) -> None:
    with pytest.raises(OptionError, match="unknown class 'cancer' for --positive; choose one of: benign, malignant"):
        quick(table, positive="cancer")


def test_an_older_report_is_replaced_only_when_told_to(table: Path) -> None:
    first = quick(table)
    assert first.out == table.with_name("preds.evaluation")
    with pytest.raises(OutputError, match=r"preds.evaluation is not empty; choose another --out, or pass"):
        quick(table)
    (first.out / "notes.txt").write_text("mine")
    stale = first.out / "plots" / "difference.png"
    stale.parent.mkdir()
    stale.write_text("of an older run")
    quick(table, overwrite=True)
    ours = [OUTPUT_MARKER, "metrics.json", "report.html", "report.md"]
    assert sorted(path.name for path in first.out.iterdir()) == sorted([*ours, "notes.txt"])
    (table.parent / "file").write_text("")
    with pytest.raises(OutputError, match="is a file; choose another --out"):
        quick(table, out=table.parent / "file")


def test_one_class_gives_what_can_be_given_and_the_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "DPI", 40)
    table = write_predictions(tmp_path / "t.parquet", metadata=OURS, true_label=["malignant"] * 80)
    found = quick(table, plots=True)
    assert found.metrics["images"]["accuracy"]["value"] is not None
    reason = "only one class among the true labels"
    assert found.skipped == {
        "roc": reason,
        "precision_recall": reason,
        "thresholds": reason,
        "intervals": "no group of images has an AUROC",
    }
    text = found.report_file.read_text()
    assert f"- AUROC, case-weighted AUROC, AUPRC: {reason}." in text
    assert "No plot precision\\_recall: only one class among the true labels." in text
    assert [row["note"] for row in found.metrics["thresholds"] if row["note"]] == [OWN]


def test_more_than_two_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "DPI", 40)
    probs = np.random.default_rng(0).dirichlet([1, 1, 1], 80).astype(np.float32)
    names = ("adenosis", "ductal_carcinoma", "fibroadenoma")
    three = {f"prob_{name}": probs[:, k] for k, name in enumerate(names)}
    table = write_predictions(
        tmp_path / "t.parquet",
        metadata=OURS,
        prob_benign=None,
        prob_malignant=None,
        decision_threshold=None,
        label=[names[k] for k in probs.argmax(1)],
        true_label=[names[i % 16 % 3] for i in range(80)],
        **three,
    )
    found = quick(table, plots=True)
    true = np.arange(80) % 16 % 3
    expected = np.mean([roc_auc_score(true == k, probs[:, k]) for k in range(3)])
    assert found.metrics["images"]["auroc"]["value"] == pytest.approx(expected)
    assert found.metrics["by_slide"]["accuracy"]["value"] is not None
    assert found.metrics["thresholds"] == []
    assert set(found.plots) == {"roc", "precision_recall", "reliability", "confusion", "intervals"}
    assert "ductal\\_carcinoma" in found.report_file.read_text()
    for flag in ({"positive": "adenosis"}, {"threshold": 0.5}):
        with pytest.raises(OptionError, match=r"requires two classes; .* has adenosis, ductal_carcinoma, fibroadenoma"):
            quick(table, overwrite=True, **flag)


def test_a_leaking_table_is_stamped_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "DPI", 40)
    leaks = ["patient p1 stands in fold 0 and in fold 1", "x.png and y.png are the same picture"]
    table = write_predictions(tmp_path / "t.parquet", metadata={**OURS, "leaks": json.dumps(leaks)})
    stamped: list[str] = []
    save = canvas._stamp
    monkeypatch.setattr(
        canvas, "_stamp", lambda figure, lines, *rest: (stamped.append(lines[0]), save(figure, lines, *rest))
    )
    found = quick(table, plots=True)
    assert json.loads(found.metrics_file.read_text())["leaks"] == leaks
    assert found.report_file.read_text().startswith("> **WARNING: this table is from a leaking split")
    assert all(f"**{leak}**" in found.report_file.read_text() for leak in leaks)
    assert len(stamped) == len(found.plots) == 6
    assert all(words.startswith("LEAKING SPLIT: patient p1") for words in stamped)


def test_patients_of_the_models_training_are_set_apart(tmp_path: Path) -> None:
    card = Card(
        name="mine",
        task="classify",
        architecture=Architecture(classes=CLASSES),
        decision=Decision(positive="benign"),
        training=Training(data="our archive", splits={"train": ["p0", "p1"], "test": ["p2"]}),
    )
    model = tmp_path / "models" / "mine"
    model.mkdir(parents=True)
    write_card(card, model)
    metadata = {"schema": "1", "model": "mine", "model_card_sha256": file_sha256(model / CARD_FILE)}
    table = write_predictions(tmp_path / "t.parquet", metadata=metadata)
    (tmp_path / "t.run.json").write_text(json.dumps({"options": {"model": str(model)}}))
    found = quick(table).metrics
    assert found["training_overlap"]["patient_names"] == ["p0", "p1"]
    assert found["images"]["count"] == 70
    assert found["trained_on"]["images"]["count"] == 10
    assert found["decision"]["positive"] == "benign"
    assert stamps(found)[0] == "", "the figures are of the others"
    assert sum(row["threshold"] == 0.5 for row in found["thresholds"]) == 1
    text = (tmp_path / "t.evaluation" / "report.md").read_text()
    assert text.index("## Images the model was not trained on") < text.index("## Training images: not a test")

    write_card(replace(card, weights=Weights(int8={"none": "0" * 64})), model)  # as `models quantise` does
    assert quick(table, overwrite=True).metrics["training_overlap"]["patient_names"] == ["p0", "p1"]

    write_card(replace(card, training=replace(card.training, data="another archive")), model)
    other = quick(table, overwrite=True).metrics
    assert other["training_overlap"]["images"] == 0
    assert "the model 'mine' that wrote t.parquet was not found" in other["warnings"][-1]

    for split in ("out-of-fold", "held-out"):
        unseen = quick(write_predictions(tmp_path / f"{split}.parquet", metadata={**metadata, "split": split})).metrics
        assert unseen["training_overlap"]["images"] == 0
        assert not any("was not found" in words for words in unseen["warnings"])


def test_the_same_call_gives_the_same_bytes(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "DPI", 40)

    def contents() -> dict[str, bytes]:
        found = quick(table, plots=True, overwrite=True)
        assert not found.skipped
        return {str(p.relative_to(found.out)): p.read_bytes() for p in sorted(found.out.rglob("*.*"))}

    first = contents()
    assert first == contents()
    assert [name for name in first if name.endswith(".png")] == [
        f"plots/{name}.png"
        for name in ("confusion", "intervals", "precision_recall", "reliability", "roc", "thresholds")
    ]
    links = [line for line in first["report.md"].decode().splitlines() if line.startswith("![")]
    assert len(links) == 6
    assert "Research use only" in first["report.md"].decode()


def test_without_slides_or_patients_the_report_says_why(tmp_path: Path) -> None:
    table = write_predictions(tmp_path / "t.parquet", metadata=OURS, slide=None, patient=None)
    text = quick(table).report_file.read_text()
    assert "No figures by slide: the slides of the images are unknown." in text
    assert "No figures by patient: the patients of the images are unknown." in text


def test_neither_torch_nor_pyplot_is_loaded(table: Path) -> None:
    script = (
        "import sys\n"
        "from cancernet_cli.cli.app import main\n"
        "try:\n"
        "    main(['evaluate', sys.argv[1], '--resamples', '100', '--format', 'quiet'])\n"
        "except SystemExit as left:\n"
        "    assert not left.code, left.code\n"
        "assert 'matplotlib' in sys.modules\n"
        "assert not {'torch', 'torchvision', 'timm', 'matplotlib.pyplot'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(table)], check=True, timeout=60)
    assert (table.with_name("preds.evaluation") / "plots" / "roc.png").is_file()
