"""CancerNet: classify folders of breast histopathology images and slides. Research use only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cancernet_cli.engine.classify import classify as classify
    from cancernet_cli.engine.finetune import finetune as finetune

__version__ = "0.1.0"
__all__ = ["__version__", "classify", "finetune"]


def __getattr__(name: str) -> Any:
    """Load an engine function when it is first asked for, so that importing the package stays light."""
    if name in ("classify", "finetune"):
        import importlib

        return getattr(importlib.import_module(f"cancernet_cli.engine.{name}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
