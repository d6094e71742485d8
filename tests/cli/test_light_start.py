"""`cancernet --help` answers at once: what is slow to import waits until a command needs it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cancernet_cli import VERBS

HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "segmentation_models_pytorch",
    "pyarrow",
    "sklearn",
    "cv2",
    "PIL",
    "matplotlib",
)
LIMIT_S = 1.0

CALLS = [
    ["--help"],
    ["--version"],
    *([verb, "--help"] for verb in VERBS),
    ["models", "list", "--format", "json"],
]


def imported(names: tuple[str, ...], arguments: list[str]) -> list[str]:
    """Which of the modules a call of the command line imports."""
    script = (
        "import sys\n"
        "from cancernet_cli.cli.app import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit as left:\n"
        "    assert not left.code, left.code\n"
        f"print(*sorted(set({names!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stderr.split()


@pytest.mark.parametrize("arguments", CALLS, ids=" ".join)
def test_imports_nothing_heavy(arguments: list[str]) -> None:
    assert imported(HEAVY, arguments) == []


def test_help_reads_no_metadata_of_installed_packages() -> None:
    """No plug-in is installed here, and `importlib.metadata` would take a tenth of the time to find that out."""
    assert imported(("importlib.metadata",), ["--help"]) == []


def test_help_answers_within_a_second() -> None:
    """Processor time and the best of three, so that a busy machine does not fail it."""
    elapsed_s = []
    for _ in range(3):
        start = os.times()
        subprocess.run([sys.executable, "-m", "cancernet_cli", "--help"], capture_output=True, check=True)
        end = os.times()
        elapsed_s.append(end.children_user - start.children_user + end.children_system - start.children_system)
    assert min(elapsed_s) < LIMIT_S


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "cancernet_cli", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("cancernet 0.")
