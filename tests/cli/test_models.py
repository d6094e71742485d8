"""`cancernet models list` and `show`, on a card made for the purpose and on the bundled ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cancernet_cli.cli.app import main
from cancernet_cli.core import cards, models
from cancernet_cli.core.cards import WEIGHTS_FILE, Abstain, Architecture, Card, Decision, Training, Use, Weights

CARD = Card(
    name="tiny",
    task="classify",
    summary="A card for tests.",
    architecture=Architecture(backbone="resnet50", head="linear", classes=("benign", "malignant")),
    decision=Decision(positive="malignant", threshold=0.4, chosen_on="out-of-fold scores"),
    training=Training(data="BreakHis", licence="CC BY 4.0", group_by="case", splits={"fold 0": ["14-9461", "14-2523"]}),
    metrics={
        "out_of_fold": {
            "accuracy": {"value": 0.75, "low": 0.6, "high": 0.85, "count": 530, "interval_units": 20},
            "auroc": {"value": 0.8, "low": 0.7, "high": 0.9, "count": 530, "interval_units": 20},
            "confusion": {"tn": 200, "fp": 80, "fn": 50, "tp": 200},
        }
    },
    use=Use(intended="Research.", not_for="Diagnosis."),
)


@pytest.fixture
def one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundled models that holds one, with eight bytes of weights."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / WEIGHTS_FILE).write_bytes(b"12345678")
    sha256 = cards.file_sha256(folder / WEIGHTS_FILE)
    card = Card(**{**CARD.__dict__, "weights": Weights(sha256=sha256, size_bytes=8, licence="CC BY 4.0")})
    cards.write_card(card, folder)
    monkeypatch.setattr(models, "bundled_models_folder", lambda: tmp_path)
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one call."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    shown = capsys.readouterr()
    return int(left.value.code or 0), shown.out, shown.err


def test_list_shows_each_model_with_its_headline_figure(one_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "models", "list")
    words = " ".join(out.split())
    assert code == 0
    assert "tiny" in words
    assert "resnet50" in words
    assert "benign, malignant" in words
    assert "0.800" in words
    assert "accuracy" not in words, "one figure a model: AUROC where there is one"


def test_list_as_json(one_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "models", "list", "--format", "json")
    assert code == 0
    assert json.loads(out) == [
        {
            "name": "tiny",
            "task": "classify",
            "network": "resnet50",
            "segmenter": "none",
            "classes": ["benign", "malignant"],
            "size_bytes": 8,
            "figure": "AUROC 0.800 (95% CI 0.700 to 0.900)",
            "default": False,
        }
    ]


def test_show_says_what_a_reader_must_know(one_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "models", "show", "tiny", "--full")
    words = " ".join(out.split())
    assert code == 0
    for wanted in (
        "Diagnosis.",
        "out_of_fold / accuracy 0.750 (95% CI 0.600 to 0.850 over 20 patients), n 530",
        "out_of_fold / confusion tn 200, fp 80, fn 50, tp 200",
        "CC BY 4.0",
        "2: 14-9461, 14-2523",
        "malignant when its probability is at least 0.400",
        "matches the card",
    ):
        assert wanted in words


def test_show_says_when_the_label_is_unsure_and_what_is_promised(
    one_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "promise" not in run(capsys, "models", "show", "tiny")[1]
    abstain = Abstain(low=0.2, high=0.75, flags=("no_tissue",), error=0.1, coverage=0.6, covered_accuracy=0.9)
    card = cards.read_card(one_model)
    cards.write_card(replace(card, decision=replace(card.decision, abstain=abstain)), one_model)
    words = " ".join(run(capsys, "models", "show", "tiny")[1].split())
    assert "a probability of malignant from 0.200 to 0.750; flags no_tissue" in words
    assert "new cases: at most 10.0 % of a class's images get the other label" in words
    assert "60.0 % of the images it was fitted on; 90.0 % of these labels are right" in words
    cards.write_card(replace(card, decision=replace(card.decision, abstain=Abstain(flags=("no_tissue",)))), one_model)
    words = " ".join(run(capsys, "models", "show", "tiny")[1].split())
    assert "unsure for flags no_tissue promise none" in words


def test_show_fits_a_screen_and_counts_patients(one_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = cards.read_card(one_model)
    many = {f"fold_{fold}": [f"image {'x' * 30}/{fold}_{i}.png" for i in range(500)] for fold in range(5)}
    training = replace(card.training, splits=many, images=2500, data="long words " * 60, group_by="image")
    use = Use(intended="Research. " * 40, not_for="Diagnosis. " * 60)
    metrics = {"out_of_fold": {"by_magnification": {str(m): CARD.metrics["out_of_fold"] for m in range(30)}}}
    cards.write_card(replace(card, training=training, use=use, metrics=metrics, summary="A card. " * 20), one_model)
    _, out, _ = run(capsys, "models", "show", "tiny")
    assert len(out.splitlines()) <= 30
    words = " ".join(out.split())
    assert "2,500 images, split by image, 5 folds" in words
    assert "patients" not in words
    assert "cancernet models show tiny --full" in words
    _, out, _ = run(capsys, "models", "show", "tiny", "--full")
    assert "4_499.png" in "".join(out.split())


def test_a_split_by_image_is_stamped_everywhere(one_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = cards.read_card(one_model)
    training = replace(card.training, group_by="image", doubts=("no better than chance: AUROC 0.51",))
    cards.write_card(replace(card, training=training), one_model)
    for arguments in (("show", "tiny"), ("show", "tiny", "--full"), ("list",)):
        _, out, _ = run(capsys, "models", *arguments)
        assert "split by image: may leak" in " ".join(out.split())
        if "show" in arguments:
            assert "warning: no better than chance: AUROC 0.51" in out


def test_figures_of_a_leaking_split_are_stamped(one_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leaks = ("1 patient is on two sides of the split",)
    card = cards.read_card(one_model)
    cards.write_card(replace(card, training=replace(card.training, leaks=leaks)), one_model)
    _, out, _ = run(capsys, "models", "show", "tiny")
    assert out.index("LEAKING SPLIT: no figure below is an estimate") < out.index("- 1 patient") < out.index("0.75")
    _, out, _ = run(capsys, "models", "list", "--format", "json")
    assert json.loads(out)[0]["figure"].startswith("LEAKING SPLIT: AUROC 0.800")


def test_show_tells_of_changed_weights(one_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (one_model / WEIGHTS_FILE).write_bytes(b"changed!")
    code, out, _ = run(capsys, "models", "show", str(one_model))
    assert code == 0
    assert "restore the weights or the card" in " ".join(out.split())


def test_show_as_json_is_the_whole_card(one_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "models", "show", "tiny", "--format", "json")
    assert code == 0
    shown = json.loads(out)
    assert shown["metrics"] == CARD.metrics
    assert shown["architecture"]["classes"] == ["benign", "malignant"]


def test_unknown_model_names_the_nearest(one_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "models", "show", "tinny")
    assert code == 4
    assert out == ""
    assert "there is no bundled model 'tinny'" in err
    assert "did you mean tiny?" in err


@pytest.mark.parametrize("name", models.bundled_models() or [pytest.param("", marks=pytest.mark.skip("no model yet"))])
def test_every_bundled_model_says_what_it_is_not_for(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "models", "show", name)
    card = cards.read_card(models.find_model(name))
    assert code == 0
    assert card.use.not_for
    assert card.training.data
    assert card.training.licence
    assert card.metrics
    assert "matches the card" in " ".join(out.split())
