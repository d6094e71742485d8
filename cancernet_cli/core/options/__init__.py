"""Every option of every command: type, default, range and help, declared once; one file per command.

The command line (`cli.bind`) and library callers use the same dataclasses. Rules between fields are in `__post_init__`
and name the flags. This module only shortens imports: a new command's options need no entry here.
"""

from cancernet_cli.core.options.base import Options, OptionSpec, flag_name, option
from cancernet_cli.core.options.bench import BenchOptions
from cancernet_cli.core.options.classify import ClassifyOptions, Pool
from cancernet_cli.core.options.compare import CompareOptions
from cancernet_cli.core.options.evaluate import EvaluateOptions
from cancernet_cli.core.options.finetune import FinetuneOptions
from cancernet_cli.core.options.inference import InferenceOptions
from cancernet_cli.core.options.learning import LearningOptions
from cancernet_cli.core.options.loading import LoaderOptions
from cancernet_cli.core.options.tile import TileOptions
from cancernet_cli.core.options.tiling import TilingOptions

__all__ = [
    "BenchOptions",
    "ClassifyOptions",
    "CompareOptions",
    "EvaluateOptions",
    "FinetuneOptions",
    "InferenceOptions",
    "LearningOptions",
    "LoaderOptions",
    "OptionSpec",
    "Options",
    "Pool",
    "TileOptions",
    "TilingOptions",
    "flag_name",
    "option",
]
