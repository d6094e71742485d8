"""The Python API as a whole: every command is a function with options by name, and the package imports at once."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import cancernet_cli
from cancernet_cli import VERBS
from cancernet_cli.core.options.base import Options

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", [*VERBS, "predict"])
def test_a_command_is_one_function_with_options_by_name(name: str) -> None:
    parameters = inspect.signature(getattr(cancernet_cli, name)).parameters
    assert parameters["options"].default is None
    assert "report" in parameters
    assert any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_options_lists_each_with_its_default(verb: str) -> None:
    record: type[Options] = getattr(cancernet_cli, f"{verb.capitalize()}Options")
    text = inspect.getdoc(record) or ""
    for field in fields(record):
        assert text.count(f"\n    {field.name}: {field.metadata['option'].help} [default: ") == 1
    assert text.count("Attributes:") == 1


def test_models_are_cards_by_name() -> None:
    found = cancernet_cli.models()
    assert found["breakhis_lite0"].architecture.classes == ("benign", "malignant")
    assert list(cancernet_cli.models("idc_tiles")) == ["idc_tiles"]


def test_both_names_of_the_package_are_one_and_import_nothing_heavy() -> None:
    script = (
        "import sys, cancernet, cancernet_cli\n"
        "print(*sorted({'torch', 'pyarrow', 'numpy', 'tqdm', 'rich'} & set(sys.modules)))\n"
        "assert cancernet.VERBS is cancernet_cli.VERBS\n"
        "assert cancernet.convert is cancernet_cli.convert\n"
        "from cancernet import ClassifyOptions\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cancernet_cli" / "_names")])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == ""
