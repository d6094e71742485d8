"""`cancernet compare`."""

from __future__ import annotations

from typing import Annotated

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.cli.finetune import Data, checked_data
from cancernet_cli.core.options import CompareOptions


@options_from(CompareOptions)
def compare(data: Data = None, *, options: CompareOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Compare networks and segmenters on the same patients, alongside baselines and what a leaking split would claim.

    Repeats table 1 and figures 3 and 4 of the paper that CancerNet follows, with folds by patient. Finished cells are
    kept: run the same command again to resume after an interruption, or name more networks to add them.

    Examples:

        cancernet compare ./BreaKHis_v1 --out comparison

        cancernet compare labels.csv --backbones vgg16,densenet121 --segmenters none,unet --weights vgg16=v.safetensors
    """
    data = checked_data(data, "compare")
    with progress.reporter(format) as report:
        from cancernet_cli.engine.compare.run import compare as run  # torch is imported here, not at --help

        result = run(data, options, report)
    if format == "json":
        output.record({"out": result.out, **result.comparison, "reused": result.reused, "elapsed_s": result.elapsed_s})
    elif format == "human":
        from cancernet_cli.cli.render.comparison import comparison_parts

        output.show(*comparison_parts(result.comparison))
        output.talk(f"Table, plots and cells are in {options.out}.")
