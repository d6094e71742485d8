"""Whether the places that a classify run writes to can be what they are said to be, asked before hours of work."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cancernet_cli.core.errors import OptionError, OutputError
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.data.discovery.inputs import parse_inputs

_OTHER_FORMATS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".xls", ".xlsx")


def check_places(inputs: Sequence[str], options: ClassifyOptions) -> None:
    """Look at --out, --metrics, --overlays and --masks; nothing is written.

    Raises:
        OptionError: the table's name promises another format, or a place is taken by something else of this run.
        OutputError: the metrics' name is a folder's.
    """
    out, metrics = options.out, options.metrics
    if out.suffix.lower() in _OTHER_FORMATS:
        raise OptionError(
            f"--out is {str(out)!r}, and the table is a Parquet file",
            fix=f"name it {out.with_suffix('.parquet').name}; pandas, polars, DuckDB and R read it",
        )
    if metrics is not None and metrics.is_dir():
        raise OutputError(f"{metrics} is a folder", fix="give --metrics the name of a file, such as metrics.json")
    if metrics is not None and os.path.realpath(metrics) == os.path.realpath(out):
        raise OptionError(f"--metrics and --out are both {str(out)!r}", fix="give them different names")
    read = {os.path.realpath(one.location) for one in parse_inputs(inputs) if one.kind in ("folder", "pattern")}
    for flag, folder in (("--overlays", options.overlays), ("--masks", options.masks)):
        if folder is not None and os.path.realpath(os.fsencode(folder)) in read:
            raise OptionError(
                f"{flag} is {str(folder)!r}, where images are looked for: the next run would classify its pictures",
                fix="give it a folder of its own",
            )
