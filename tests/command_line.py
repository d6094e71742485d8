"""Run the command line in this process."""

from __future__ import annotations

from cancernet_cli.cli.app import main


def cancernet(*words: object) -> int:
    """Run `cancernet` with these words; returns its exit code."""
    try:
        main(list(map(str, words)))
    except SystemExit as left:
        return int(left.code or 0)
    return 0
