import importlib
import sys
from pathlib import Path

import pytest

from cancernet_cli.core import registry as registry_module
from cancernet_cli.core.errors import ModelError, OptionError
from cancernet_cli.core.registry import HEADS, Registry, check_entry, entry_names, load_plugins, suggestion

EMPTY = "cancernet_cli.no_such_package"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry[object]:
    monkeypatch.setattr(registry_module, "_registries", {})
    made: Registry[object] = Registry("backbone", EMPTY)
    made.register("resnet50", licence="BSD-3-Clause")(object())
    return made


def test_a_name_registered_twice_is_an_error(registry: Registry[object]) -> None:
    with pytest.raises(ValueError, match="'resnet50' is registered twice"):
        registry.register("resnet50")(object())


def test_an_unknown_name_lists_the_nearest(registry: Registry[object]) -> None:
    with pytest.raises(ModelError) as caught:
        registry["resnet5"]
    assert caught.value.message == "unknown backbone 'resnet5'"
    assert caught.value.fix == "did you mean resnet50?"


def test_facts_travel_with_the_entry(registry: Registry[object]) -> None:
    assert registry["resnet50"].facts["licence"] == "BSD-3-Clause"


def test_suggestions_are_distinct_and_all_names_without_a_near_one() -> None:
    assert suggestion("resnet51", ["resnet50", "resnet50", "vgg16"]) == "did you mean resnet50?"
    assert suggestion("zzz", ["vgg16", "resnet50", "vgg16"], also=["abc"]) == "choose one of: resnet50, vgg16"


def test_names_are_those_of_the_files_and_of_entries_registered_elsewhere(registry: Registry[object]) -> None:
    assert entry_names(HEADS) == ["correlations", "flatten", "level_stats", "linear"]
    assert entry_names(EMPTY) == ["resnet50"]


def test_an_option_with_an_unknown_name_is_refused() -> None:
    check_entry("--head", HEADS, "linear")
    with pytest.raises(OptionError, match=r"unknown head 'liner'; did you mean linear\?"):
        check_entry("--head", HEADS, "liner")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an installed plug-in's module."""
    info = tmp_path / "toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cancernet.plugins]\ntoy = toy_plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry_module, "load_plugins", load_plugins.__wrapped__)
    yield tmp_path / "toy_plugin.py"
    sys.modules.pop("toy_plugin", None)
    importlib.invalidate_caches()


def test_an_installed_plug_in_is_loaded_when_a_name_is_not_built_in(plugin: Path, registry: Registry[object]) -> None:
    plugin.write_text(
        "from cancernet_cli.core import registry\n"
        f"registry._registries[{EMPTY!r}].register('toy', depth=1)(lambda levels: levels)\n"
    )
    assert registry["toy"].facts["depth"] == 1
    check_entry("--backbone", EMPTY, "toy")


def test_a_broken_plug_in_is_named(plugin: Path, registry: Registry[object]) -> None:
    plugin.write_text("import no_such_module\n")
    with pytest.raises(
        ModelError, match=r"plug-in 'toy' \(toy_plugin\) cannot be loaded: ModuleNotFoundError"
    ) as caught:
        registry["toy"]
    assert "uninstall" in caught.value.fix


@pytest.mark.parametrize("name", ["toy-1.0.dist-info", "toy.egg-info", "EGG-INFO"])
def test_plug_ins_are_looked_for_only_if_a_package_mentions_their_group(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / name
    info.mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "missing"), ""])
    monkeypatch.chdir(tmp_path)
    assert not registry_module._may_have_plugins()
    (info / "entry_points.txt").write_text("[console_scripts]\ntoy = toy:main\n")
    assert not registry_module._may_have_plugins()
    (info / "entry_points.txt").write_text("[cancernet.plugins]\ntoy = toy_plugin\n")
    assert registry_module._may_have_plugins()
    monkeypatch.setattr(sys, "path", [""])
    assert registry_module._may_have_plugins()


def test_plug_ins_are_looked_for_in_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "packages.zip").write_bytes(b"")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "packages.zip")])
    assert registry_module._may_have_plugins()
