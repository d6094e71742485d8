"""Any card comes back from its file as it was; any text is a card or is refused."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("hypothesis", reason="part of the dev extra")
from hypothesis import given, settings
from hypothesis import strategies as st

from cancernet_cli.core.cards import (
    CARD_FILE,
    Abstain,
    Architecture,
    Card,
    Decision,
    InputPolicy,
    Training,
    Weights,
    card_text,
    read_card,
)
from cancernet_cli.core.errors import ModelError

SMALL = settings(max_examples=20, derandomize=True, deadline=None, database=None)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)
NAME = st.from_regex(r"[a-zé][a-z_ é]{0,8}[a-z]", fullmatch=True).filter(lambda name: name != "unsure")
SHARE = st.floats(0, 1)
POSITIVE = st.floats(1e-6, 1e6)


@st.composite
def cards(draw: st.DrawFn) -> Card:
    classes = tuple(draw(st.lists(NAME, min_size=2, max_size=4, unique=True)))
    low, high = sorted((draw(SHARE), draw(SHARE)))
    return Card(
        name=draw(TEXT),
        task="classify",
        summary=draw(TEXT),
        architecture=Architecture(
            backbone="resnet50", head="linear", classes=classes, levels=(draw(st.integers(0, 4)),)
        ),
        input=InputPolicy(
            view=draw(st.sampled_from(["resize", "grid"])),
            width_px=draw(st.integers(1, 4096)),
            scale=draw(POSITIVE),
            mean=draw(st.tuples(SHARE, SHARE, SHARE)),
            std=draw(st.tuples(POSITIVE, POSITIVE, POSITIVE)),
        ),
        decision=Decision(
            positive=draw(st.sampled_from(classes)),
            temperature=draw(POSITIVE),
            threshold=draw(SHARE),
            abstain=draw(st.none() | st.just(Abstain(low=low, high=high))),
        ),
        weights=Weights(int8=draw(st.none() | st.just({"unet": "0" * 64}))),
        training=Training(splits=draw(st.dictionaries(NAME, st.lists(TEXT, max_size=3), max_size=2))),
    )


@SMALL
@given(cards())
def test_a_card_comes_back(card: Card) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CARD_FILE).write_text(card_text(card), "utf-8", newline="\n")
        assert read_card(Path(folder)) == card


PLAIN = st.sampled_from(["1", "-1", "1e400", "nan", "-inf", "true", '""', '"x"', "1979-05-27", "0x7fffffffffffffff"])
LIST = st.lists(PLAIN, max_size=3).map(lambda items: f"[{', '.join(items)}]")
VALUE = PLAIN | LIST | LIST.map(lambda inner: f"{{a = {inner}}}") | LIST.map(lambda inner: f"[{inner}]")
KEY = st.sampled_from(
    [f"{section}.{key}" for section in Card.__annotations__ for key in ("sha256", "classes", "scale")]
    + [
        "architecture",
        "input.mean",
        "input.scales",
        "decision.threshold",
        "decision.abstain",
        "weights.int8",
        "metrics",
    ]
)


@SMALL
@given(st.dictionaries(KEY, VALUE, max_size=4))
def test_a_card_with_any_value_is_read_or_refused(keys: dict[str, str]) -> None:
    lines = [f"{key} = {value}" for key, value in keys.items()]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CARD_FILE).write_text("\n".join(['schema = 1\nname = "x"\ntask = "classify"', *lines]), "utf-8")
        with suppress(ModelError):  # and no other error
            read_card(Path(folder))
