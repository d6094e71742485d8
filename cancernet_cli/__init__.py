"""CancerNet: classify folders of breast histopathology images and slides. Research use only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cancernet_cli.core.options import ClassifyOptions as ClassifyOptions
    from cancernet_cli.core.options import CompareOptions as CompareOptions
    from cancernet_cli.core.options import EvaluateOptions as EvaluateOptions
    from cancernet_cli.core.options import FinetuneOptions as FinetuneOptions
    from cancernet_cli.engine.classify.run import classify as classify
    from cancernet_cli.engine.compare.run import compare as compare
    from cancernet_cli.engine.evaluate.run import evaluate as evaluate
    from cancernet_cli.engine.finetune.run import finetune as finetune

__version__ = "0.1.0"
__all__ = [
    "ClassifyOptions",
    "CompareOptions",
    "EvaluateOptions",
    "FinetuneOptions",
    "__version__",
    "classify",
    "compare",
    "evaluate",
    "finetune",
]

_HOMES = {name: f"engine.{name}.run" for name in ("classify", "compare", "evaluate", "finetune")}
_HOMES |= dict.fromkeys(("ClassifyOptions", "CompareOptions", "EvaluateOptions", "FinetuneOptions"), "core.options")


def __getattr__(name: str) -> Any:
    """Load what is offered when it is first asked for, so that importing the package stays light."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"cancernet_cli.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


from cancernet_cli.outputs import sinks as _sinks  # noqa: E402, F401  # registers the folder options of `ClassifyOptions`
