import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cancernet_cli.core.cards import (
    CARD_FILE,
    WEIGHTS_FILE,
    Abstain,
    Architecture,
    Card,
    Decision,
    InputPolicy,
    RenamedKey,
    SegmentationPolicy,
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


def test_an_optional_section_is_there_only_if_it_was_written(tmp_path: Path) -> None:
    write_card(CARD, tmp_path)
    assert "abstain" not in (tmp_path / CARD_FILE).read_text()
    assert read_card(tmp_path).decision.abstain is None
    abstain = Abstain(low=0.25, high=0.75, flags=("no_tissue",), error=0.1, coverage=0.6, cases={"benign": 10})
    write_card(replace(CARD, decision=Decision(positive="malignant", abstain=abstain)), tmp_path)
    assert "[decision.abstain]" in (tmp_path / CARD_FILE).read_text()
    assert read_card(tmp_path).decision.abstain == abstain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('schema = 1\nname = "x"\ntask = "classify"\n[decision.abstain]\nlow = 2', "decision.abstain.low is 2"),
        (
            'schema = 1\nname = "x"\ntask = "classify"\n[decision.abstain]\nfrom = 0',
            "unknown key decision.abstain.from",
        ),
        ('schema = 1\nname = "x"\ntask = "classify"\n[decision]\nabstain = 3', "decision.abstain is 3"),
        ('schema = 9\nname = "x"', "has schema 9, this version reads 1"),
        ('schema = 1\nname = "x"\ntask = "classify"\ncolour = 1', "has an unknown key colour"),
        ('schema = 1\nname = "x"\ntask = "classify"\n[input]\nwidth = 3', "has an unknown key input.width"),
        ('schema = 1\nname = "x"\ntask = "classify"\n[decision]\ntemperature = "hot"', "decision.temperature is 'hot'"),
        ('schema = 1\ntask = "classify"', "is incomplete"),
        ("not toml at all", "cannot be read"),
    ],
)
def test_a_wrong_card_names_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / CARD_FILE).write_text(text)
    with pytest.raises(ModelError) as caught:
        read_card(tmp_path)
    assert message in caught.value.message
    assert caught.value.fix


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        ("task", '"clasify"', "choose one of: classify, segment"),
        ("input", "3", "use a table"),
        ("input.view", '"grit"', "choose one of: resize, grid"),
        ("input.stain_normalization", '"scalled"', "choose one of: none, scaled, balanced"),
        ("input.mean", '["a"]', "use a list of 3 values, each a number"),
        ("input.mean", "[0.5, 0.5]", "use a list of 3 values, each a number"),
        ("input.std", "[0.5, 0.5, 0.0]", "use a list of 3 values, each a number above 0"),
        ("input.width_px", "0", "use an integer from 1 to 16384"),
        ("input.width_px", "224.5", "use an integer from 1 to 16384"),
        ("input.width_px", "true", "use an integer from 1 to 16384"),
        ("input.mpp", '"a"', "use a number above 0"),
        ("input.overlap", "1.5", "use a number from 0 to 1"),
        ("architecture.levels", "[-1]", "use a list of values, each an integer of at least 0"),
        ("architecture.classes", '"benign"', "use a list of values, each text"),
        ("segmentation.background_weight", "2", "use a number from 0 to 1"),
        ("segmentation.sha256", '"abc"', "use 64 lower-case hexadecimal digits, or nothing"),
        ("decision.temperature", "0", "use a number above 0"),
        ("decision.temperature", "nan", "use a number above 0"),
        ("decision.threshold", "1.01", "use a number from 0 to 1"),
        ("decision.threshold", "nan", "use a number from 0 to 1"),
        ("decision.temperature", "-1", "use a number above 0"),
        ("decision.temperature", "inf", "use a number above 0"),
        ("decision.temperature", "1" + 400 * "0", "use a number above 0"),
        ("input.view", '"pyramid"', "choose one of: resize, grid"),
        ("input.mean", "[nan, 0.5, 0.5]", "use a list of 3 values, each a number"),
        ("input.scale", "0", "use a number above 0"),
        ("input.width_px", "100000", "use an integer from 1 to 16384"),
        ("weights.int8", '{unet = "abc"}', "use a table"),
        ("training.splits", "[1]", "use a table"),
        ("training.splits.train", "3", "use a table"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_is_allowed(
    tmp_path: Path, key: str, value: str, fix: str
) -> None:
    task = "" if key == "task" else 'task = "classify"\n'
    (tmp_path / CARD_FILE).write_text(f'schema = 1\nname = "x"\n{task}{key} = {value}\n')
    with pytest.raises(ModelError) as caught:
        read_card(tmp_path)
    assert caught.value.message.startswith(f"{tmp_path / CARD_FILE}: {key.removesuffix('.train')} is ")
    assert len(caught.value.message) < len(str(tmp_path)) + 160
    assert caught.value.fix == fix
    assert caught.value.exit_code == 4


def test_integers_are_taken_as_numbers(tmp_path: Path) -> None:
    (tmp_path / CARD_FILE).write_text(
        'schema = 1\nname = "x"\ntask = "classify"\n[input]\nscale = 1\nmean = [0, 0, 1]\n'
    )
    policy = read_card(tmp_path).input
    assert (policy.scale, policy.mean) == (1.0, (0.0, 0.0, 1.0))
    assert {type(value) for value in (policy.scale, *policy.mean)} == {float}


def test_a_card_made_in_python_is_checked_too() -> None:
    with pytest.raises(ModelError, match="view in a model card is 'grit'; choose one of: resize, grid"):
        InputPolicy(view="grit")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="task in a model card is 'clasify'; choose one of: classify, segment"):
        Card(name="x", task="clasify")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="temperature in a model card is -1; use a number above 0"):
        replace(Decision(), temperature=-1)


def test_keys_of_an_earlier_release_are_read_with_a_warning(tmp_path: Path) -> None:
    text = 'schema = 1\nname = "x"\ntask = "classify"\n[input]\ndensity = "as_is"\n[segmentation]\nkeep = 0.25\n'
    (tmp_path / CARD_FILE).write_text(text)
    with pytest.warns(RenamedKey) as told:
        card = read_card(tmp_path)
    assert [str(one.message).partition(": ")[2] for one in told] == [
        "input.density is now called input.stain_normalization; rename it",
        "segmentation.keep is now called segmentation.background_weight; rename it",
    ]
    assert card.segmentation == SegmentationPolicy(background_weight=0.25)
    assert card.input.stain_normalization == "none"
    write_card(card, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_card(tmp_path) == card


def test_an_old_key_next_to_its_new_one_is_refused(tmp_path: Path) -> None:
    text = 'schema = 1\nname = "x"\ntask = "classify"\n[segmentation]\nkeep = 0.25\nbackground_weight = 0.5\n'
    (tmp_path / CARD_FILE).write_text(text)
    with pytest.raises(ModelError, match=r"has both segmentation\.keep and segmentation\.background_weight; remove"):
        read_card(tmp_path)


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


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"scales": {"forty": 1.0}}, "scales in a model card is"),
        ({"scales": {"40": 1.0, "40.0": 0.5}}, "scales in a model card is"),
        ({"magnification_mpp": {"-40": 1.0}}, "magnification_mpp in a model card is"),
        ({"scales": {"40": 1.0}}, "but magnification_mpp is {}; give both for the same magnifications"),
        ({"view": "resize", "scales": {"40": 1.0}, "magnification_mpp": {"40": 0.5}}, "scales with view 'resize'"),
    ],
)
def test_scales_by_magnification_are_checked(policy: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        InputPolicy(**({"view": "grid"} | policy))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tile_width_px": 50, "mpp": 4.0},
        {"tile_width_px": 50, "tile_height_px": 50},
        {"tile_width_px": 50, "tile_height_px": 50, "mpp": 4.0, "view": "grid", "scales": {"40": 1.0},
         "magnification_mpp": {"40": 0.5}},
    ],
)  # fmt: skip
def test_a_tiles_size_is_complete_or_absent(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="give all three and no scales"):
        InputPolicy(**wrong)
    assert InputPolicy(tile_width_px=50, tile_height_px=40, mpp=4.0).tile_px == (50, 40)
    assert InputPolicy(mpp=4.0).tile_px is None


def test_scales_by_magnification_survive_the_card(tmp_path: Path) -> None:
    policy = InputPolicy(
        view="grid", scales={"100": 0.5, "40": 1.0}, magnification_mpp={"40": 0.49, "100": 0.2}, scale=0.5
    )
    write_card(replace(CARD, input=policy), tmp_path)
    found = read_card(tmp_path).input
    assert found == policy
    assert found.known_magnifications == ((40.0, 1.0, 0.49), (100.0, 0.5, 0.2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[architecture]\nclasses = ["a", "b", "a"]',
            "classes in a model card is ['a', 'b', 'a']; name each class once",
        ),
        ('[architecture]\nclasses = ["a", ""]', "classes in a model card is ['a', '']; name each class once"),
        ('[architecture]\nclasses = ["a", "b\\n"]', "name each class once, on one line"),
        ('[architecture]\nclasses = ["a", "unsure"]', 'and none "unsure"'),
        (
            '[architecture]\nclasses = ["a", "b"]\n[decision]\npositive = "c"',
            "positive in a model card is 'c'; choose one of its classes: a, b",
        ),
        ("[decision.abstain]\nlow = 0.2", "low in a model card is 0.2, but high is None; give both"),
        ("[decision.abstain]\nlow = 0.6\nhigh = 0.4", "low in a model card is 0.6, but high is 0.4; give both"),
        ("[decision.abstain.cases]\nbenign = -1", "decision.abstain.cases is {'benign': -1}"),
    ],
)
def test_values_that_do_not_fit_together_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / CARD_FILE).write_text(f'schema = 1\nname = "x"\ntask = "classify"\n{text}')
    with pytest.raises(ModelError) as caught:
        read_card(tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path / CARD_FILE) in caught.value.message


@pytest.mark.parametrize("schema", ["true", "1.0", '"1"', "[1]"])
def test_a_schema_that_is_no_integer_is_refused(tmp_path: Path, schema: str) -> None:
    (tmp_path / CARD_FILE).write_text(f'schema = {schema}\nname = "x"\ntask = "classify"')
    with pytest.raises(ModelError, match="has schema"):
        read_card(tmp_path)


@pytest.mark.timeout(20)
def test_a_card_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / CARD_FILE)
    with pytest.raises(ModelError, match=r"cannot be read: it is not a regular file; restore the card"):
        read_card(tmp_path)


def test_a_card_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    write_card(CARD, tmp_path)
    (tmp_path / CARD_FILE).write_bytes(b"\xef\xbb\xbf" + (tmp_path / CARD_FILE).read_bytes())
    assert read_card(tmp_path).name == "toy"


def test_a_card_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    (tmp_path / CARD_FILE).write_text("x = " + 5000 * "[" + 5000 * "]")
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(tmp_path)
