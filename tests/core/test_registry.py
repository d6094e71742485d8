import pytest

from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.registry import Registry


def make_registry() -> Registry[object]:
    registry: Registry[object] = Registry("backbone")
    registry.register("resnet50", licence="BSD-3-Clause")(object())
    return registry


def test_a_name_registered_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="'resnet50' is registered twice"):
        make_registry().register("resnet50")(object())


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(ModelError) as caught:
        make_registry()["resnet5"]
    assert caught.value.message == "no backbone is called 'resnet5'"
    assert caught.value.fix == "choose one of: resnet50"


def test_facts_travel_with_the_entry() -> None:
    assert make_registry()["resnet50"].facts["licence"] == "BSD-3-Clause"
