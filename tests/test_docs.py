"""Everything that the documents mention exists: commands, flags, columns, card entries, exit codes, targets, files."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import cancernet_cli
from cancernet_cli.cli.app import app
from cancernet_cli.core import cards, errors
from cancernet_cli.outputs.tables.predictions import table_schema

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/*.md", "examples/*.md", "benchmarks/*.md") for path in ROOT.glob(pattern)
)
README = (ROOT / "README.md").read_text("utf-8")


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below `command`, with the words that call it."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, (*path, name))


COMMANDS = dict(walk(typer.main.get_command(app)))
LEAVES = {path: command for path, command in COMMANDS.items() if not getattr(command, "commands", None)}


def call_lines(text: str) -> list[str]:
    """Every call of `cancernet` in a document: indented, fenced or in a sentence; comments and pipes cut off."""
    spans = re.findall(r"`([^`\n]*\bcancernet [^`\n]*)`", text)
    lines = [line for line in text.splitlines() if re.match(r"( {4}|\t|\$ )?\s*(\S+ \| )?cancernet ", line)]
    found = [re.search(r"cancernet (.*)", line.replace("\\|", "|")) for line in spans + lines]
    return [re.split(r"\s#|\s\|\s", match[1])[0].strip() for match in found if match]


def split_call(call: str) -> tuple[tuple[str, ...], list[str]]:
    """The words that name the command, and its flags."""
    words = shlex.split(call)
    path: tuple[str, ...] = ()
    for word in words:
        if (*path, word) not in COMMANDS:
            break
        path = (*path, word)
    return path, [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]


def flags_of(command: Any) -> set[str]:
    """Every flag that a command takes."""
    return {"--help", "-h"}.union(*(parameter.opts + parameter.secondary_opts for parameter in command.params))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_call_in_a_document_exists(document: Path) -> None:
    for call in call_lines(document.read_text("utf-8")):
        path, flags = split_call(call)
        assert path or flags, f"`cancernet {call}` names no command"
        assert set(flags) <= flags_of(COMMANDS[path]), call


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_flag_in_a_sentence_exists(document: Path) -> None:
    known = set().union(*map(flags_of, COMMANDS.values()))
    others = {"--no-deps", "--no-crop"}  # pip's, QuPath's
    others |= {"--keep", "--density", "--mask-cut"}  # renamed: the changelog names them
    for flag in re.findall(r"`(--[a-z][a-z-]*)", document.read_text("utf-8")):
        assert flag in known | others


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_is_documented_and_has_help(path: tuple[str, ...]) -> None:
    assert f"cancernet {' '.join(path)}" in README
    command = LEAVES[path]
    assert command.help
    assert "Examples:" in command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{parameter.name} has no help"


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_examples_in_the_help_exist(path: tuple[str, ...]) -> None:
    calls = call_lines(LEAVES[path].help)
    assert calls
    for call in calls:
        called, flags = split_call(call)
        assert called == path
        assert set(flags) <= flags_of(LEAVES[path]), call


def test_every_column_is_documented() -> None:
    text = (ROOT / "docs" / "table.md").read_text("utf-8")
    first_cells = re.findall(r"^\| (`[^|]*`) \|", text.split("## Columns")[1].split("## Metadata")[0], re.MULTILINE)
    documented = [name for cell in first_cells for name in re.findall(r"`([^`]*)`", cell)]
    columns = table_schema(("<class>",), {}).names
    assert documented == columns
    for name in columns:
        assert f"`{name.replace('<class>', 'benign')}`" in README


def test_every_card_entry_is_documented() -> None:
    text = (ROOT / "docs" / "models.md").read_text("utf-8")
    for field in dataclasses.fields(cards.Card):
        below = dataclasses.fields(field.default) if dataclasses.is_dataclass(field.default) else ()
        names = [entry.name for entry in below] or [field.name]
        for name in names:
            assert re.search(rf"[`.\[]{name}[`\]]", text), f"{field.name}.{name}"


def test_every_exit_code_is_documented() -> None:
    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    documented = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", README, re.MULTILINE) for code in row.split(",")}
    assert documented == codes | {0, 130, 143}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_make_targets_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for target in re.findall(r"\bmake ([a-z-]+)`", text) + re.findall(r"^ {4}make ([a-z-]+)", text, re.MULTILINE):
        assert target in targets
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (document.parent / link).exists(), link


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_files_in_the_architecture_exist() -> None:
    names = re.findall(r"`([\w/.]+(?:\.py|/))`", ARCHITECTURE)
    assert len(names) > 20
    for name in names:
        assert (ROOT / name).exists() or (ROOT / "cancernet_cli" / name).exists(), name


def test_every_room_and_command_is_in_the_architecture() -> None:
    rooms = [path.parent for path in (ROOT / "cancernet_cli").glob("*/__init__.py")]
    verbs = [path.parent for path in (ROOT / "cancernet_cli" / "engine").glob("*/__init__.py")]
    assert len(rooms) > 5
    assert len(verbs) > 3
    for folder in rooms + verbs:
        assert f"`{folder.relative_to(ROOT / 'cancernet_cli').as_posix()}/`" in ARCHITECTURE


def test_every_public_name_is_in_the_api_reference() -> None:
    documented = re.findall(r"^::: (?:\w+\.)+(\w+)$", (ROOT / "docs" / "api.md").read_text("utf-8"), re.MULTILINE)
    assert set(cancernet_cli.__all__) - {"__version__"} <= set(documented)


def test_every_page_is_in_the_site_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8").split("nav:")[1]
    for page in (ROOT / "docs").glob("*.md"):
        assert f": {page.name}\n" in navigation, page.name
