"""Output sinks as options: each registered sink adds one folder option, named after it, to `ClassifyOptions`."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cancernet_cli.core.options.base import Options, option
from cancernet_cli.core.registry import SINKS, Registry

# Filled by `outputs.sink`, and by any other module that registers a sink; the facts are described there.
sinks: Registry[Any] = Registry("output sink", SINKS)

Record = TypeVar("Record", bound=Options)


def with_sinks(record: type[Record]) -> type[Record]:
    """The options class with one `Path | None` field per sink registered so far.

    Raises:
        ValueError: a sink has the name of another option.
    """
    declared = {field.name: field.metadata["option"].help for field in dataclasses.fields(record)}
    for entry in sinks:
        if declared.get(entry.name, entry.facts["help"]) != entry.facts["help"]:
            raise ValueError(f"the output sink {entry.name!r} has the name of another option")
    missing = tuple(name for name in sinks.names() if name not in declared)
    return _extended(record, missing) if missing else record  # type: ignore[arg-type]  # a type is hashable


@functools.cache
def _extended(record: type[Record], names: tuple[str, ...]) -> type[Record]:
    return dataclasses.make_dataclass(
        record.__name__,
        [(name, Path | None, option(None, help=sinks[name].facts["help"], group="Output")) for name in names],
        bases=(record,),
        namespace={"__module__": record.__module__, "__doc__": record.__doc__},
        frozen=True,
        kw_only=True,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SinkOptions(Options):
    """Options of a command that writes output sinks; calling the class also accepts a folder per registered sink."""

    if not TYPE_CHECKING:  # a type checker would take this signature for the class's own

        def __new__(cls, **values: Any) -> SinkOptions:
            """An instance of the class extended by the sinks; `__init__` then takes the same keywords."""
            return object.__new__(with_sinks(cls))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the name of the importable class, which the extended one shares."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return _rebuild, (type(self).__module__, type(self).__name__, values)

    def sink_folders(self) -> dict[str, Path]:
        """The folder of each sink that was asked for, by the sink's name."""
        folders = {name: getattr(self, name, None) for name in sinks.names()}
        return {name: folder for name, folder in folders.items() if folder is not None}


def _rebuild(module: str, name: str, values: dict[str, Any]) -> Any:
    return getattr(importlib.import_module(module), name)(**values)
