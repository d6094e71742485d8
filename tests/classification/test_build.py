"""From a card to a network, and from a model's folder to a trained one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cancernet_cli.classification import build_backbone, build_classifier, load_classifier
from cancernet_cli.core.cards import WEIGHTS_FILE, Architecture, read_card
from cancernet_cli.core.errors import ModelError
from tests.tiny_model import write_tiny_model

TINY = Architecture(backbone="test_efficientnet", head="level_stats", levels=(1, 2), classes=("a", "b", "c"))


def test_a_classifier_gives_a_logit_for_each_class() -> None:
    logits = build_classifier(TINY).eval()(torch.rand(2, 3, 40, 56))
    assert logits.shape == (2, 3)
    assert logits.dtype == torch.float32


def test_no_levels_means_the_last() -> None:
    assert len(build_backbone("test_efficientnet").channels) == 1
    assert build_backbone("test_efficientnet").channels == build_backbone("test_efficientnet", (4,)).channels


@pytest.mark.parametrize("levels", [(5,), (2, 1), (1, 1), (-1,)])
def test_levels_that_are_none_are_refused(levels: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="choose from 0"):
        build_backbone("test_efficientnet", levels)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"backbone": "resnet51"}, "unknown backbone 'resnet51'; did you mean .*resnet50"),
        ({"head": "level_stat"}, "unknown head 'level_stat'; did you mean level_stats"),
        ({"classes": ("a",)}, "names 1 classes"),
        ({"backbone": "convnext_atto", "levels": (0,)}, "no feature map of stride 2; choose levels among strides"),
    ],
)
def test_a_card_that_cannot_be_built_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build_classifier(replace(TINY, **changed))  # type: ignore[arg-type]


def test_the_trained_weights_come_back(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    classifier = load_classifier(folder, read_card(folder))
    assert not classifier.training
    state = load_file(folder / WEIGHTS_FILE)
    assert all(torch.equal(state[name], value) for name, value in classifier.state_dict().items())


def test_weights_of_other_classes_do_not_fit(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    card = read_card(folder)
    architecture = replace(card.architecture, classes=("a", "b", "c"))
    card = replace(card, architecture=architecture, decision=replace(card.decision, positive="a"))
    with pytest.raises(ModelError, match=r"do not fit its card: size mismatch for head.*; restore the card"):
        load_classifier(folder, card)


def test_a_segmentation_model_classifies_nothing(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    with pytest.raises(ModelError, match="a model to segment, not to classify"):
        load_classifier(folder, replace(read_card(folder), task="segment"))
