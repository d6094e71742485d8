"""`cancernet --help` answers at once: what is slow to import waits until a command needs it."""

from __future__ import annotations

import subprocess
import sys
import time

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


@pytest.mark.parametrize("arguments", CALLS, ids=" ".join)
def test_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from cancernet_cli.cli.app import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit as left:\n"
        "    assert not left.code, left.code\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []


def test_help_answers_within_a_second() -> None:
    """The best of three, so that a busy machine does not fail it."""
    elapsed_s = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "cancernet_cli.cli.app", "--help"], capture_output=True, check=True)
        elapsed_s.append(time.perf_counter() - start)
    assert min(elapsed_s) < LIMIT_S


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "cancernet_cli", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("cancernet 0.")
