"""CancerNet: classify folders of breast histopathology images and slides. Research use only."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors; `__getattr__` needs no entry here
    from cancernet_cli.core.options.bench import BenchOptions as BenchOptions
    from cancernet_cli.core.options.classify import ClassifyOptions as ClassifyOptions
    from cancernet_cli.core.options.compare import CompareOptions as CompareOptions
    from cancernet_cli.core.options.convert import ConvertOptions as ConvertOptions
    from cancernet_cli.core.options.doctor import DoctorOptions as DoctorOptions
    from cancernet_cli.core.options.evaluate import EvaluateOptions as EvaluateOptions
    from cancernet_cli.core.options.finetune import FinetuneOptions as FinetuneOptions
    from cancernet_cli.core.options.report import ReportOptions as ReportOptions
    from cancernet_cli.core.options.segment import SegmentOptions as SegmentOptions
    from cancernet_cli.core.options.tile import TileOptions as TileOptions
    from cancernet_cli.engine.bench.run import bench as bench
    from cancernet_cli.engine.classify.run import classify as classify
    from cancernet_cli.engine.compare.run import compare as compare
    from cancernet_cli.engine.convert import convert as convert
    from cancernet_cli.engine.doctor.run import doctor as doctor
    from cancernet_cli.engine.evaluate.run import evaluate as evaluate
    from cancernet_cli.engine.finetune.run import finetune as finetune
    from cancernet_cli.engine.models import models as models
    from cancernet_cli.engine.predict import Classifier as Classifier
    from cancernet_cli.engine.predict import predict as predict
    from cancernet_cli.engine.quantize import quantise as quantise
    from cancernet_cli.engine.report.run import report as report
    from cancernet_cli.engine.segment.run import segment as segment
    from cancernet_cli.engine.tile import tile as tile

__version__ = "0.1.0"

# The commands as `cancernet --help` lists them. Each has three files: its options in core/options/<verb>.py, its
# function in engine/<verb>.py or engine/<verb>/run.py, and its command in cli/<verb>.py.
VERBS = ("classify", "segment", "finetune", "compare", "evaluate", "report", "convert", "tile", "bench", "doctor")

# Further names for Python, by the module of the engine that has them.
_OTHERS = {"predict": "predict", "Classifier": "predict", "models": "models", "quantise": "quantize"}

__all__ = ["__version__", *VERBS, *(f"{verb.capitalize()}Options" for verb in VERBS), *_OTHERS]


def __getattr__(name: str) -> Any:
    """Import a function or options on first use, so that importing the package stays light."""
    verb = name.removesuffix("Options").lower()
    if name == f"{verb.capitalize()}Options" and verb in VERBS:
        return getattr(importlib.import_module(f"{__name__}.core.options.{verb}"), name)
    if name not in VERBS and name not in _OTHERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.engine.{_OTHERS.get(name, name)}")
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{module.__name__}.run")
    return importlib.import_module(f"{__name__}.cli.render.notebook").with_progress(getattr(module, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
