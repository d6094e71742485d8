"""Names for interchangeable parts: backbones, segmenters, readers."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Any, Generic, TypeVar

from cancernet_cli.core.errors import ModelError

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered factory and what is known about it."""

    name: str
    factory: T
    facts: Mapping[str, Any] = field(default_factory=dict)


class Registry(Generic[T]):
    """Factories by name; a name taken twice is an error, an unknown one lists the nearest.

    Args:
        noun: what an entry is called in messages, for example "backbone".
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._entries: dict[str, Entry[T]] = {}

    def register(self, name: str, **facts: Any) -> Callable[[T], T]:
        """Decorator that files a factory under `name`, with facts such as paper and licence."""

        def add(factory: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.noun} {name!r} is registered twice")
            self._entries[name] = Entry(name, factory, MappingProxyType(facts))
            return factory

        return add

    def __getitem__(self, name: str) -> Entry[T]:
        if name not in self._entries:
            near = difflib.get_close_matches(name, self._entries, n=3)
            known = ", ".join(near or sorted(self._entries))
            raise ModelError(f"no {self.noun} is called {name!r}", fix=f"choose one of: {known}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(self._entries[name] for name in sorted(self._entries))

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._entries)


def import_all(package: ModuleType | str) -> None:
    """Import every module of a package, so that their `register` calls run."""
    module = importlib.import_module(package) if isinstance(package, str) else package
    for info in pkgutil.iter_modules(module.__path__):
        importlib.import_module(f"{module.__name__}.{info.name}")
