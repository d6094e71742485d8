"""Folder options that follow from the registered sinks."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.core.options.sinks import sinks


@pytest.fixture
def late() -> Iterator[str]:
    """Registers a sink that did not exist when the first options were made."""
    yield from registered("late")


def registered(name: str) -> Iterator[str]:
    sinks.register(name, help="Late.", title="late", suffix=".txt", kinds=("image",))(object)
    yield name
    del sinks._entries[name]


def test_options_survive_pickling_and_copying() -> None:
    options = ClassifyOptions(overlays="o", top_k=3)
    for other in (pickle.loads(pickle.dumps(options)), copy.deepcopy(options)):
        assert other == options
        assert (other.overlays, other.top_k) == (Path("o"), 3)


def test_options_are_compared_by_their_values() -> None:
    assert ClassifyOptions(overlays="o") == ClassifyOptions(overlays=Path("o")) != ClassifyOptions(overlays="p")


def test_an_unknown_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="overlay"):
        ClassifyOptions(overlay="o")


def test_a_sink_registered_later_extends_existing_options(late: str) -> None:
    options = dataclasses.replace(ClassifyOptions(masks="m"), late="l")
    assert options.sink_folders() == {"late": Path("l"), "masks": Path("m")}


def test_existing_options_have_no_folder_of_a_later_sink() -> None:
    options = ClassifyOptions(masks="m")
    for _ in registered("later"):
        assert options.sink_folders() == {"masks": Path("m")}


def test_a_sink_cannot_take_the_name_of_another_option() -> None:
    for _ in registered("top_k"):
        with pytest.raises(ValueError, match="'top_k' has the name of another option"):
            ClassifyOptions()
