"""Recipes and options: a recipe decides what the user may decide too, from the same values."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.options.recipes import MODERN, PAPER, SEGMENT, Recipe, parse_scales, recipe_of

RECIPES_ONLY = {"fit", "normalise", "tuning"}  # no option sets them


def test_a_recipe_has_the_types_of_the_options() -> None:
    options, recipe = get_type_hints(FinetuneOptions), get_type_hints(Recipe)
    for name in set(recipe) - RECIPES_ONLY - {"levels", "scales"}:  # text: "1,2,3", "40=1,100=0.5"
        assert options[name] == recipe[name] | None, name
    assert not RECIPES_ONLY & set(options)


def test_a_recipe_and_a_card_have_one_name_and_one_type_for_a_value() -> None:
    card, recipe = get_type_hints(InputPolicy), get_type_hints(Recipe)
    shared = set(card) & set(recipe)
    assert {"view", "scale"} <= shared
    assert all(card[name] == recipe[name] for name in shared)


def test_options_replace_the_values_of_the_recipe() -> None:
    assert recipe_of(FinetuneOptions()) == MODERN
    assert recipe_of(FinetuneOptions(recipe="paper")) == PAPER
    assert recipe_of(FinetuneOptions(task="segment")) == SEGMENT
    found = recipe_of(FinetuneOptions(recipe="paper", epochs=3, levels="1, 2"))
    assert (found.epochs, found.levels, found.backbone) == (3, (1, 2), PAPER.backbone)
    with pytest.raises(OptionError, match="--levels needs numbers from 0 to 4, got '5'"):
        recipe_of(FinetuneOptions(levels="5"))


def test_scales_are_read_by_magnification() -> None:
    assert recipe_of(FinetuneOptions(scales="400X=0.25, 40 = 1")).scales == {"40": 1.0, "400": 0.25}
    assert recipe_of(FinetuneOptions()).scales == {}


@pytest.mark.parametrize("text", ["", "40", "40=", "40=x", "40=1,40=0.5", "40=1,", "0=1", "-40=1", "nan=1", "40=5"])
def test_other_scales_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--scales is") as caught:
        parse_scales(text)
    assert caught.value.fix == "give each magnification once with a factor from 0.05 to 4: 40=1,100=0.5"


def test_scales_need_views_of_a_fixed_scale() -> None:
    with pytest.raises(OptionError, match="--scales does not apply to --view resize"):
        recipe_of(FinetuneOptions(scales="40=1", recipe="paper"))
    with pytest.raises(OptionError, match="--scales does not apply to --task segment"):
        recipe_of(FinetuneOptions(scales="40=1", task="segment"))


def test_options_for_training_a_backbone_need_one_that_is_trained() -> None:
    assert recipe_of(FinetuneOptions(unfreeze=1, dropout=0.1)).dropout == 0.1
    assert recipe_of(FinetuneOptions(recipe="patches", label_smoothing=0.0)).label_smoothing == 0
    with pytest.raises(OptionError, match="--augment does not apply to a frozen backbone"):
        recipe_of(FinetuneOptions(augment="light"))
    with pytest.raises(OptionError, match="--label-smoothing does not apply to a frozen backbone"):
        recipe_of(FinetuneOptions(recipe="patches", unfreeze=0, label_smoothing=0.1))
    with pytest.raises(OptionError, match="--dropout does not apply to --task segment"):
        recipe_of(FinetuneOptions(task="segment", dropout=0.1))
    with pytest.raises(OptionError, match="--label-smoothing does not apply to --loss focal") as caught:
        recipe_of(FinetuneOptions(recipe="patches", loss="focal"))
    assert caught.value.fix == "pass --label-smoothing 0"
