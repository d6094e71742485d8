"""Interchangeable parts by name: backbones, heads, segmenters, image readers and slide readers."""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from cancernet_cli.core.errors import ModelError, OptionError

T = TypeVar("T")

# Packages of registries that options depend on; each module is an entry.
BACKBONES = "cancernet_cli.classification.backbone"
HEADS = "cancernet_cli.classification.head"
SEGMENTERS = "cancernet_cli.segmentation.segmenter"
SINKS = "cancernet_cli.outputs.sinks"
EXPORT_FORMATS = "cancernet_cli.engine.export.formats"
PLUGINS = "cancernet.plugins"  # entry-point group: modules of other packages that register entries
_ROOT = Path(__file__).resolve().parents[1]
_registries: dict[str, Registry[Any]] = {}


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered factory and its facts."""

    name: str
    factory: T
    facts: Mapping[str, Any] = field(default_factory=dict)


class Registry(Generic[T]):
    """Factories by name.

    An entry is a module of `package` (a dotted name) with the entry's name, imported on first use, or is registered by
    a plug-in. `noun` is what messages call an entry, for example "backbone".
    """

    def __init__(self, noun: str, package: str) -> None:
        self.noun = noun
        self.package = package
        self._entries: dict[str, Entry[T]] = {}
        self._is_loaded = False
        _registries[package] = self

    def register(self, name: str, **facts: Any) -> Callable[[T], T]:
        """Decorator that registers a factory as `name`, with facts such as its paper and licence.

        Raises:
            ValueError: the name is taken.
        """

        def add(factory: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.noun} {name!r} is registered twice")
            self._entries[name] = Entry(name, factory, MappingProxyType(facts))
            return factory

        return add

    def __getitem__(self, name: str) -> Entry[T]:
        if name not in self:
            raise ModelError(f"unknown {self.noun} {name!r}", fix=suggestion(name, self._entries))
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        if name not in self._entries and name in _modules(self.package):
            importlib.import_module(f"{self.package}.{name}")
        if name not in self._entries:
            self._load()
        return name in self._entries

    def __iter__(self) -> Iterator[Entry[T]]:
        self._load()
        return iter([self._entries[name] for name in sorted(self._entries)])

    def names(self) -> list[str]:
        """All names, sorted; imports every entry. `entry_names` imports none."""
        return [entry.name for entry in self]

    def _load(self) -> None:
        if not self._is_loaded:
            for name in _modules(self.package):
                importlib.import_module(f"{self.package}.{name}")
            load_plugins()
            self._is_loaded = True


@cache
def load_plugins() -> None:
    """Import the modules that installed packages list in the entry-point group `cancernet.plugins`.

    Worker processes get here on first use of a registry too, so plug-ins work with any start method.

    Raises:
        ModelError: one of them cannot be imported.
    """
    if not _may_have_plugins():
        return
    from importlib.metadata import entry_points

    for point in entry_points(group=PLUGINS):
        try:
            point.load()
        except Exception as error:  # third-party code
            raise ModelError(
                f"plug-in {point.name!r} ({point.value}) cannot be loaded: {type(error).__name__}: {error}",
                fix="repair or uninstall the package that provides it",
            ) from error


def _may_have_plugins() -> bool:
    """Whether an installed package mentions the plug-ins' group; takes 3 ms, and `entry_points` 30 in every process."""
    for folder in sys.path:
        if os.path.isfile(folder):  # a zip archive
            return True
        with suppress(OSError), os.scandir(folder or os.curdir) as found:
            for info in found:
                if info.name.lower().endswith("-info"):  # .dist-info, .egg-info
                    with suppress(OSError), open(os.path.join(info.path, "entry_points.txt"), "rb") as file:
                        if PLUGINS.encode() in file.read():
                            return True
    return False


def entry_names(package: str) -> list[str]:
    """Names in the registry of a package, sorted, without importing any entry.

    Entries of plug-ins are included once they are imported.
    """
    imported = _registries[package]._entries if package in _registries else ()
    return sorted({*_modules(package), *imported})


def is_entry(package: str, name: str) -> bool:
    """Whether the registry of a package has this name; loads plug-ins only for a name that is not built in."""
    if name not in entry_names(package):
        load_plugins()
    return name in entry_names(package)


def check_entry(flag: str, package: str, name: str) -> None:
    """Check an option's value against the registry of a package.

    Raises:
        OptionError: there is no such entry.
    """
    if not is_entry(package, name):
        raise OptionError(f"unknown {flag[2:]} {name!r}", fix=suggestion(name, entry_names(package)))


def suggestion(name: str, known: Iterable[str], also: Iterable[str] = ()) -> str:
    """A fix for an unknown name: the nearest names among `known` and `also`, or else all `known` ones."""
    names = sorted(set(known))
    if near := difflib.get_close_matches(name, {*names, *also}, n=3):
        return f"did you mean {' or '.join(near)}?"
    return f"choose one of: {', '.join(names)}"


@cache
def _modules(package: str) -> tuple[str, ...]:
    """Names of a package's modules; the package is not imported."""
    folder = _ROOT.joinpath(*package.split(".")[1:])
    return tuple(info.name for info in pkgutil.iter_modules([str(folder)]))
