"""The house rules that no linter checks: small folders, short functions, tests where their files are."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "cancernet_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_MODULES = 15
MOST_LINES_FUNCTION = 59
MOST_LINES_FILE = 400


def test_no_folder_is_crowded() -> None:
    modules = Counter(path.parent.relative_to(ROOT) for path in MODULES if path.name != "__init__.py")
    crowded = {str(folder): count for folder, count in modules.items() if count > MOST_MODULES}
    assert not crowded, "give files that share a subject a folder of their own"


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_are_short(path: Path) -> None:
    long = {name: lines for name, lines in _functions(path) if lines > MOST_LINES_FUNCTION}
    assert not long, "split what does two things"
    assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES_FILE
