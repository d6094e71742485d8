"""CancerNet under the name that pip knows: `from cancernet import classify` is `from cancernet_cli import classify`."""

from __future__ import annotations

from typing import Any

import cancernet_cli

__version__ = cancernet_cli.__version__
__all__ = cancernet_cli.__all__


def __getattr__(name: str) -> Any:
    return getattr(cancernet_cli, name)


def __dir__() -> list[str]:
    return dir(cancernet_cli)
