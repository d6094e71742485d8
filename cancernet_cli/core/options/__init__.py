"""Every option of every command: type, default, range and help, declared once; one file per command.

The command line (`cli.bind`) and library callers use the same dataclasses. Rules between fields are in `__post_init__`
and name the flags. This module only shortens imports: a new command's options need no entry here.
"""

from cancernet_cli.core.options.base import Options as Options
from cancernet_cli.core.options.base import flag_name as flag_name
from cancernet_cli.core.options.bench import BenchOptions as BenchOptions
from cancernet_cli.core.options.classify import ClassifyOptions as ClassifyOptions
from cancernet_cli.core.options.classify import Pool as Pool
from cancernet_cli.core.options.compare import CompareOptions as CompareOptions
from cancernet_cli.core.options.evaluate import EvaluateOptions as EvaluateOptions
from cancernet_cli.core.options.finetune import FinetuneOptions as FinetuneOptions
from cancernet_cli.core.options.report import ReportOptions as ReportOptions
from cancernet_cli.core.options.segment import SegmentOptions as SegmentOptions
from cancernet_cli.core.options.shared.learning import LearningOptions as LearningOptions
from cancernet_cli.core.options.shared.loading import InferenceOptions as InferenceOptions
from cancernet_cli.core.options.shared.loading import LoaderOptions as LoaderOptions
from cancernet_cli.core.options.shared.tiling import TilingOptions as TilingOptions
from cancernet_cli.core.options.tile import TileOptions as TileOptions
