from dataclasses import replace
from pathlib import Path

import pytest

from cancernet_cli.core.cards import (
    CARD_FILE,
    WEIGHTS_FILE,
    Architecture,
    Card,
    Training,
    Weights,
    checked_weights,
    file_sha256,
    read_card,
    write_card,
)
from cancernet_cli.core.errors import ModelError

CARD = Card(
    name="toy",
    task="classify",
    architecture=Architecture(backbone="resnet50", head="linear", levels=(2, 3), classes=("benign", "malignant")),
    training=Training(splits={"train": ["14-1", "14-2"]}),
    metrics={"auroc": {"value": 0.8, "low": None}},
)


def test_a_card_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_card(CARD, tmp_path)
    first = (tmp_path / CARD_FILE).read_bytes()
    found = read_card(tmp_path)
    assert found == replace(CARD, metrics={"auroc": {"value": 0.8}})  # TOML has no None: it is left out
    write_card(found, tmp_path)
    assert (tmp_path / CARD_FILE).read_bytes() == first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('schema = 9\nname = "x"', "has schema 9, this version reads 1"),
        ('schema = 1\nname = "x"\ntask = "classify"\ncolour = 1', "has an unknown entry colour"),
        ('schema = 1\nname = "x"\ntask = "classify"\n[input]\nwidth = 3', "has an unknown entry input.width"),
        ('schema = 1\nname = "x"\ntask = "classify"\n[decision]\ntemperature = "hot"', "decision.temperature is 'hot'"),
        ('schema = 1\ntask = "classify"', "is incomplete"),
        ("not toml at all", "cannot be read"),
    ],
)
def test_a_wrong_card_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / CARD_FILE).write_text(text)
    with pytest.raises(ModelError) as caught:
        read_card(tmp_path)
    assert message in caught.value.message
    assert caught.value.fix


def test_weights_are_checked_against_the_card(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has a card but no model\.safetensors; copy the weights"):
        checked_weights(tmp_path, CARD)
    weights = tmp_path / WEIGHTS_FILE
    weights.write_bytes(b"weights")
    good = replace(CARD, weights=Weights(sha256=file_sha256(weights)))
    assert checked_weights(tmp_path, good) == weights
    weights.write_bytes(b"changed")
    with pytest.raises(ModelError, match="restore the weights or the card"):
        checked_weights(tmp_path, good)
