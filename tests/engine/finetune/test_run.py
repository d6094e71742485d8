"""Training end to end on generated images: the same bytes twice, and no patient on both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cancernet_cli import FinetuneOptions, classify, finetune
from cancernet_cli.cli.app import main
from cancernet_cli.cli.render.card import card_parts
from cancernet_cli.core.cards import WEIGHTS_FILE, checked_weights, read_card
from cancernet_cli.core.errors import CancernetError, InputError, OptionError, OutputError
from cancernet_cli.core.events import Event, Note, Warn
from cancernet_cli.data.readers import read
from cancernet_cli.data.splits.training_images import HASHES_FILE
from cancernet_cli.engine.evaluate.run import evaluate
from cancernet_cli.engine.finetune import classifier as finetune_classify
from cancernet_cli.inference.pipeline import load_pipeline
from cancernet_cli.outputs.reports.history import read_history
from tests.he_images import he_like


def classify_options(out: Path, **changed: object) -> FinetuneOptions:
    given = {"backbone": "test_efficientnet", "weights": "none", "segmenter": "threshold", "folds": 2, "workers": 0}
    given |= {"view_width_px": 64, "view_height_px": 64, "device": "cpu", "out": out}
    return FinetuneOptions(**(given | changed))  # type: ignore[arg-type]


Decoded = Callable[[], list[str]]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Decoded:
    """The location of every image decoded so far, as often as it was, by this process and its workers."""
    log = tmp_path / "decoded"
    log.touch()
    decode = read._decoded

    def counted(location: bytes, *given: Any) -> Any:
        with log.open("ab") as file:
            file.write(location + b"\n")
        return decode(location, *given)

    monkeypatch.setattr(read, "_decoded", counted)
    return lambda: log.read_text().splitlines()


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, four patients each, two images a patient."""
    root = tmp_path_factory.mktemp("labelled")
    for seed in range(16):
        patient, malignant = seed // 2, seed // 2 % 2
        label, code = ("malignant", "M_DC") if malignant else ("benign", "B_A")
        path = root / label / f"SOB_{code}-14-{1000 + patient}-100-{seed:03d}.png"
        path.parent.mkdir(exist_ok=True)
        image = he_like(seed, 80, 70).astype(int) - 40 * malignant
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)
    return root


@pytest.mark.slow
def test_scales_are_on_the_card_with_the_resolution_they_are_for(labelled: Path, tmp_path: Path) -> None:
    """All images are 100X, of which a manifest says that a pixel has 0.3 um."""
    manifest = tmp_path / "scaled.csv"
    rows = [f"{path},{path.parent.name},0.3" for path in sorted(labelled.glob("*/*.png"))]
    manifest.write_text("path,label,mpp\n" + "\n".join(rows) + "\n")
    finetune([str(manifest)], classify_options(tmp_path / "mine", scales="100=0.5,400=0.25"))
    policy = read_card(tmp_path / "mine").input
    assert policy.scales == {"100": 0.5, "400": 0.25}
    assert policy.magnification_mpp == {"100": 0.3, "400": 0.1625}
    held_out = pq.read_table(tmp_path / "mine" / "out_of_fold.parquet").sort_by("path").to_pylist()
    halved = classify_options(tmp_path / "halved", scales="100=0.5,400=0.5")
    finetune([str(manifest)], halved)
    others = pq.read_table(tmp_path / "halved" / "out_of_fold.parquet").sort_by("path").to_pylist()
    assert [row["prob_malignant"] for row in held_out] == [row["prob_malignant"] for row in others]


def leaking_manifest(labelled: Path, folder: Path) -> Path:
    """Folds that share every patient."""
    rows = [
        f"{path},{path.parent.name},{path.name.split('-')[2]},{i % 2}"
        for i, path in enumerate(sorted(labelled.glob("*/*.png")))
    ]
    manifest = folder / "leaks.csv"
    manifest.write_text("path,label,patient,fold\n" + "\n".join(rows) + "\n")
    return manifest


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("masked")
    lines = ["image,mask,patient"]
    for seed in range(6):
        image = he_like(seed, 96, 96)
        Image.fromarray(image).save(root / f"i{seed}.png")
        Image.fromarray(((image[..., 1] < 100) * 255).astype(np.uint8)).save(root / f"m{seed}.png")
        lines.append(f"i{seed}.png,m{seed}.png,p{seed // 2}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


def test_a_classifier_is_the_same_twice_and_runs(labelled: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        result = finetune([str(labelled)], classify_options(tmp_path / name, variants=1))
        assert (result.images, result.patients) == (16, 8)
    assert (tmp_path / "one" / WEIGHTS_FILE).read_bytes() == (tmp_path / "two" / WEIGHTS_FILE).read_bytes()
    card = read_card(tmp_path / "one")
    checked_weights(tmp_path / "one", card)
    load_pipeline(tmp_path / "one", card)
    assert card.architecture.classes == ("benign", "malignant")
    assert card.decision.positive == "malignant"
    assert "out-of-fold" in card.decision.chosen_on
    assert card.metrics["out_of_fold"]["images"]["auroc"]["count"] == 16
    assert "not a diagnosis" in card.use.not_for
    assert not (tmp_path / "one.partial").exists()


def test_a_frozen_backbone_decodes_each_image_once(labelled: Path, tmp_path: Path, decoded: Decoded) -> None:
    finetune([str(labelled)], classify_options(tmp_path / "model"))
    assert len(decoded()) == len(set(decoded())) == 16


def test_a_tuned_backbone_decodes_each_image_once_before_training(
    labelled: Path, tmp_path: Path, decoded: Decoded
) -> None:
    before: list[int] = []

    def note(event: Event) -> None:
        if isinstance(event, Note) and "images of 8 known patients" in event.message:
            before.append(len(decoded()))

    options = classify_options(tmp_path / "model", unfreeze=1, epochs=1, segmenter="none", sampling="natural")
    finetune([str(labelled)], options, note)
    assert before == [16]


def test_a_copy_under_another_patient_is_refused_and_its_features_are_kept(labelled: Path, tmp_path: Path) -> None:
    """Guard and features share one pass: with --resplit nothing is computed twice."""
    paths = sorted(labelled.glob("*/*.png"))
    copy = tmp_path / "copy.png"
    copy.write_bytes(paths[0].read_bytes())
    rows = [f"{path},{path.parent.name},{path.name.split('-')[2]},{i // 2 % 2}" for i, path in enumerate(paths)]
    manifest = tmp_path / "copied.csv"
    manifest.write_text("\n".join(["path,label,patient,fold", *rows, f"{copy},benign,another,1"]) + "\n")
    options = classify_options(tmp_path / "model")
    with pytest.raises(InputError, match=r"2 files .* show the same picture on two sides of the split"):
        finetune([str(manifest)], options)
    said: list[Event] = []
    finetune([str(manifest)], replace(options, resplit=True), said.append)
    notes = [event.message for event in said if isinstance(event, Note)]
    assert "features, threshold: 17 of 17 images were done by an earlier run and are reused" in notes


def test_evaluate_repeats_the_figures_of_the_card(labelled: Path, tmp_path: Path) -> None:
    finetune([str(labelled)], classify_options(tmp_path / "model"))
    stands = read_card(tmp_path / "model").metrics["out_of_fold"]
    found = evaluate(tmp_path / "model" / "out_of_fold.parquet", out=tmp_path / "again", plots=False).metrics
    for name in ("auroc", "accuracy", "ece", "log_loss"):
        assert found["images"][name]["value"] == pytest.approx(stands["images"][name]["value"], abs=5e-5)
    assert found["images"]["auroc"]["low"] == pytest.approx(stands["images"]["auroc"]["low"], abs=5e-5)
    assert found["by_patient"]["recognition_rate"]["value"] == pytest.approx(
        stands["patients"]["recognition_rate"]["value"], abs=5e-5
    )
    assert (tmp_path / "model" / "evaluation" / "plots" / "roc.png").is_file()


@pytest.mark.slow
def test_what_is_unsure_and_what_that_promises_is_on_the_card(labelled: Path, tmp_path: Path) -> None:
    """Four cases of each class promise 20 %; the band of each fold, from two of each, none."""
    heard: list[Event] = []
    finetune([str(labelled)], classify_options(tmp_path / "m", abstain_error=0.2), heard.append)
    abstain = read_card(tmp_path / "m").decision.abstain
    assert abstain is not None
    assert (abstain.error, abstain.cases) == (0.2, {"benign": 4, "malignant": 4})
    assert abstain.flags == ("out_of_domain", "no_tissue")
    assert abstain.low is not None
    assert abstain.high is not None
    assert abstain.low <= read_card(tmp_path / "m").decision.threshold <= abstain.high
    assert "4 benign and 4 malignant cases" in abstain.chosen_on
    assert not [event for event in heard if isinstance(event, Warn) and "--abstain-error" in event.message]
    assert "unsure" not in pq.read_table(tmp_path / "m" / "out_of_fold.parquet")["label"].to_pylist()

    finetune([str(labelled)], classify_options(tmp_path / "asked", abstain_error=0.01), heard.append)
    assert read_card(tmp_path / "asked").decision.abstain.error == 0.2  # type: ignore[union-attr]
    (warning,) = [event.message for event in heard if isinstance(event, Warn) and "--abstain-error" in event.message]
    assert "an error of 0.2 is promised instead" in warning
    assert "takes 99 of each class" in warning

    finetune([str(labelled)], classify_options(tmp_path / "none", abstain_error=0), heard.append)
    none = read_card(tmp_path / "none").decision.abstain
    assert none is not None
    assert (none.low, none.high, none.error) == (None, None, None)


def test_a_class_may_not_be_called_unsure(labelled: Path, tmp_path: Path) -> None:
    rows = [f"{path},{'unsure' if 'M_' in path.name else 'benign'},{path.name[10:17]}" for path in labelled.glob("*/*")]
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,label,patient\n" + "\n".join(rows))
    with pytest.raises(InputError, match="a class is called 'unsure'"):
        finetune([str(manifest)], classify_options(tmp_path / "m", classes="benign,unsure"))


def test_a_single_split_learns_decides_and_tests_on_different_patients(labelled: Path, tmp_path: Path) -> None:
    options = classify_options(tmp_path / "model", recipe="paper", folds=1, epochs=2, view_width_px=None)
    finetune([str(labelled)], options)
    card = read_card(tmp_path / "model")
    splits = card.training.splits
    assert set(splits) == {"train", "val", "test"}
    assert not set(splits["train"]) & set(splits["val"])
    assert not set(splits["test"]) & set(splits["train"] + splits["val"])
    assert "validation images" in card.decision.chosen_on
    tested = pq.read_table(tmp_path / "model" / "test.parquet")["patient"].to_pylist()
    assert set(tested) == set(splits["test"])
    assert [row.epoch for row in read_history(tmp_path / "model" / "history.parquet")] == [1, 2]
    assert (card.input.view, card.input.mean, card.architecture.head) == ("resize", (0.0, 0.0, 0.0), "flatten")


def test_a_tuned_backbone_is_judged_on_patients_it_has_not_seen(labelled: Path, tmp_path: Path) -> None:
    options = classify_options(tmp_path / "model", unfreeze=1, epochs=1, segmenter="none", view_width_px=32,
                               view_height_px=32, sampling="natural")  # fmt: skip
    finetune([str(labelled)], options)
    card = read_card(tmp_path / "model")
    load_pipeline(tmp_path / "model", card)
    assert card.metrics["out_of_fold"]["images"]["auroc"]["count"] == 16
    splits = {row.split for row in read_history(tmp_path / "model" / "history.parquet")}
    assert splits == {"fold_0", "fold_1", "final"}
    assert (tmp_path / "model" / "evaluation" / "plots" / "loss.png").is_file()
    page = (tmp_path / "model" / "evaluation" / "report.html").read_text()
    assert '"history-loss"' in page
    assert "Model card" in page
    assert not (tmp_path / "model.partial").exists()


def test_segmenters_are_not_measured_beside_a_tuned_backbone(labelled: Path, tmp_path: Path) -> None:
    options = classify_options(tmp_path / "model", unfreeze=1, also_segmenters="none")
    with pytest.raises(OptionError, match="omit one of the two"):
        finetune([str(labelled)], options)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"backbone": "vgg61"}, "unknown backbone 'vgg61'; did you mean .*vgg16"),
        ({"weights": "gone.safetensors"}, "gone.safetensors cannot be read as weights"),
        ({"device": "cuda:99"}, "no CUDA device"),
        ({"out": "/proc/model"}, "/proc/model cannot be written"),
        ({"out": "/dev/null/model"}, "part of the path is a file"),
        ({"levels": "7"}, "needs numbers from 0 to 4"),
        ({"segmenter": "unet", "segmentation_model": "gone"}, "there is no bundled model 'gone'"),
    ],
)
def test_wrong_options_are_refused_before_images_are_read(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], said: str
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("images were read")

    monkeypatch.setattr(finetune_classify, "list_unsplit", read)
    with pytest.raises(CancernetError, match=said):
        finetune([str(labelled)], classify_options(**{"out": tmp_path / "model", **changed}))
    assert list(tmp_path.iterdir()) == []


def test_figures_of_an_allowed_leak_are_stamped(labelled: Path, tmp_path: Path) -> None:
    manifest = leaking_manifest(labelled, tmp_path)
    finetune([str(manifest)], classify_options(tmp_path / "model", allow_leak=True))
    card = read_card(tmp_path / "model")
    assert "patient" in card.training.leaks[0]
    assert card.decision.chosen_on.endswith("(2 folds, that leak)")
    report = (tmp_path / "model" / "evaluation" / "report.md").read_text()
    assert "LEAK" in report.upper()


def test_a_card_claims_nothing_of_patients_that_nobody_knows(labelled: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(labelled.glob("*/*.png"))):
        copy = tmp_path / "anonymous" / path.parent.name / f"{number}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.symlink_to(path)
    finetune([str(tmp_path / "anonymous")], classify_options(tmp_path / "model"))
    card = read_card(tmp_path / "model")
    assert card.training.group_by == "image"
    assert card.decision.chosen_on.endswith(
        "training images (5 divisions into 2 folds, split by image, since no patient is known)"
    )
    assert "patients" not in card.metrics["out_of_fold"]
    assert "patients" not in card.metrics["out_of_fold"]["images"]
    assert card.metrics["out_of_fold"]["images"]["auroc"]["interval_unit"] == "image"
    report = (tmp_path / "model" / "evaluation" / "report.md").read_text()
    assert report.startswith("> **WARNING: split by image: may leak;")
    shown = " ".join(str(part) for part in card_parts(card, tmp_path / "model"))
    assert "split by image: may leak" in shown


def test_a_model_recognizes_its_training_images_under_other_names(labelled: Path, tmp_path: Path) -> None:
    result = finetune([str(labelled)], classify_options(tmp_path / "model", folds=1))
    splits = pq.read_table(tmp_path / "model" / "test.parquet")["path"].to_pylist()
    trained = [path for path in sorted(labelled.glob("*/*.png")) if path.relative_to(labelled).as_posix() not in splits]
    assert trained
    assert splits
    assert result.doubts == read_card(tmp_path / "model").training.doubts
    for number, path in enumerate(sorted(labelled.glob("*/*.png"))):
        copy = tmp_path / "others" / path.parent.name / f"{number}.jpg"
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(copy, quality=90)
    how = {"model": str(tmp_path / "model"), "device": "cpu", "runtime": "torch", "workers": 0}
    found = classify([tmp_path / "others"], out=tmp_path / "t.parquet", **how)
    rows = pq.read_table(tmp_path / "t.parquet").to_pylist()
    assert sum(row["seen_in_training"] for row in rows) == len(trained)
    assert found.metrics is not None
    assert found.metrics["images"]["count"] == len(splits)
    assert found.metrics["trained_on"]["images"]["count"] == len(trained)
    assert evaluate(tmp_path / "t.parquet", plots=False).metrics["images"] == found.metrics["images"]
    (tmp_path / "model" / HASHES_FILE).unlink()
    classify([tmp_path / "others"], out=tmp_path / "u.parquet", **how)
    assert set(pq.read_table(tmp_path / "u.parquet")["seen_in_training"].to_pylist()) == {None}


def test_doubts_are_in_the_last_line_and_on_the_card(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anonymous = tmp_path / "anonymous"
    for number, path in enumerate(sorted(labelled.glob("*/*.png"))):
        copy = anonymous / path.parent.name / f"{number}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.symlink_to(path)
    words = (
        "finetune {} --out {} --backbone test_efficientnet --weights none --segmenter threshold --folds 2 --workers 0"
    )
    words += " --view-width-px 64 --view-height-px 64 --device cpu"
    with pytest.raises(SystemExit) as left:
        main(words.format(anonymous, tmp_path / "model").split())
    assert not left.value.code
    shown = capsys.readouterr()
    card = read_card(tmp_path / "model")
    assert card.training.doubts, "color tells these classes apart, random weights hardly"
    assert "color_alone" in card.metrics
    last = shown.err.splitlines()[-1]
    assert last == f"warning: {'; '.join(card.training.doubts)}; split by image: may leak"
    assert "Evaluation on held-out images" in shown.err
    assert all(doubt in " ".join(shown.out.split()) for doubt in card.training.doubts)


def test_no_patient_is_in_two_folds(labelled: Path, tmp_path: Path) -> None:
    finetune([str(labelled)], classify_options(tmp_path / "model"))
    splits = read_card(tmp_path / "model").training.splits
    everyone = [patient for members in splits.values() for patient in members]
    assert len(everyone) == len(set(everyone)) == 8


def test_other_segmenters_are_allowed_once_they_are_measured(labelled: Path, tmp_path: Path) -> None:
    finetune([str(labelled)], classify_options(tmp_path / "model", also_segmenters="none"))
    card = read_card(tmp_path / "model")
    assert card.segmentation.allowed == ("threshold", "none")
    assert "auroc" in card.metrics["other_segmenters"]["none"]["images"]


def test_a_given_fold_that_shares_a_patient_stops_the_run(labelled: Path, tmp_path: Path) -> None:
    manifest = leaking_manifest(labelled, tmp_path)
    with pytest.raises(InputError, match="--allow-leak"):
        finetune([str(manifest)], classify_options(tmp_path / "model"))
    assert not (tmp_path / "model").exists()


def test_a_model_that_is_there_is_not_replaced_unasked(labelled: Path, tmp_path: Path) -> None:
    finetune([str(labelled)], classify_options(tmp_path / "model"))
    with pytest.raises(OutputError, match=r"already has card.toml; .*--overwrite"):
        finetune([str(labelled)], classify_options(tmp_path / "model"))


def test_a_segmenter_is_the_same_twice_and_tested_on_other_patients(masked: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        options = FinetuneOptions(
            task="segment", backbone="test_efficientnet", weights="none", epochs=2, crop_px=32, folds=1, device="cpu",
            out=tmp_path / name,
        )  # fmt: skip
        finetune([str(masked)], options)
    assert (tmp_path / "one" / WEIGHTS_FILE).read_bytes() == (tmp_path / "two" / WEIGHTS_FILE).read_bytes()
    card = read_card(tmp_path / "one")
    assert set(card.training.splits["train"]).isdisjoint(card.training.splits["test"])
    assert set(card.metrics["test"]["by_patient"]) == set(card.training.splits["test"])
    assert set(card.metrics["test"]["baselines"]) == {"threshold", "watershed"}
