"""Parse input arguments: folders, files, patterns, manifests, standard input."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.discovery.entries import absolute, status_of

MANIFEST_ENDINGS = (".csv", ".tsv", ".tab", ".parquet")
_WILDCARDS = frozenset("*?[")
_CHUNK_BYTES = 1 << 16  # longer than any path, so the first chunk contains a separator


@dataclass(frozen=True)
class Input:
    """One argument. `location`: its absolute path; for a pattern, the fixed prefix, followed by `pattern`."""

    kind: Literal["folder", "file", "pattern", "manifest", "stdin"]
    text: str
    location: bytes
    pattern: tuple[str, ...] = ()

    @property
    def folder(self) -> bytes:
        """The folder that contains its files."""
        return os.path.dirname(self.location) if self.kind in ("file", "manifest") else self.location


def parse_inputs(inputs: Sequence[str | Input]) -> list[Input]:
    """Parse each argument; an existing path is that file or folder, even if it contains wildcards.

    Inputs that are parsed already are returned as they are.

    Raises:
        InputError: there are none, or one does not exist.
    """
    if not inputs:
        raise InputError("no input was given", fix="pass folders, files, patterns, a CSV or Parquet list, or -")
    return [one if isinstance(one, Input) else _parse(os.fspath(one)) for one in inputs]


def resolve_base(inputs: Sequence[str | Input]) -> Path:
    """The folder that table paths are relative to: the deepest one with all inputs; raises as `parse_inputs`."""
    folders = [parsed.folder for parsed in parse_inputs(inputs)]
    return Path(os.fsdecode(folders[0] if len(folders) == 1 else os.path.commonpath(folders)))


def _parse(text: str) -> Input:
    if text == "-":
        return Input("stdin", text, os.getcwdb())
    if not text:  # would be the current folder
        raise InputError(
            "an input is an empty string", fix="pass a folder or file, and check for empty shell variables"
        )
    location = absolute(os.fsencode(text))
    if os.path.lexists(location):
        status = status_of(location)
        if isinstance(status, os.stat_result):
            if stat.S_ISDIR(status.st_mode):
                return Input("folder", text, location)
            if stat.S_ISREG(status.st_mode) and text.lower().endswith(MANIFEST_ENDINGS):
                return Input("manifest", text, location)
        return Input("file", text, location)
    if _WILDCARDS & set(text):
        parts = text.split(os.sep)
        fixed = next(i for i, part in enumerate(parts) if _WILDCARDS & set(part))
        prefix = absolute(os.fsencode(os.sep.join(parts[:fixed]) + os.sep if fixed else "."))
        if os.path.isdir(prefix):
            return Input("pattern", text, prefix, tuple(part for part in parts[fixed:] if part))
    if "://" in text:
        raise InputError(
            f"remote paths are not supported: {text!r}", fix="mount or copy the files and pass a local path"
        )
    raise InputError(f"{text!r} does not exist", fix="correct the path, or quote a pattern so that the shell keeps it")


def read_names(stream: IO[bytes]) -> Iterator[bytes]:
    """File names as `find` prints them, separated by NUL if there is one, else by newline; empty names are skipped."""
    chunk = stream.read(_CHUNK_BYTES)
    separator = b"\0" if b"\0" in chunk else b"\n"
    rest = b""
    while chunk:
        *names, rest = (rest + chunk).split(separator)
        yield from filter(None, names)
        chunk = stream.read(_CHUNK_BYTES)
    if rest:
        yield rest
