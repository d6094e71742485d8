"""`cancernet bench`."""

from __future__ import annotations

from typing import Annotated

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.core.options import BenchOptions


@options_from(BenchOptions)
def bench(*, options: BenchOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Measure how fast `classify` runs on this machine, where it spends time, and what limits it.

    Runs `classify` end to end on generated images or your own, then each stage, the networks and the loader
    separately. Sweeps find the best batch size, number of workers and precision, which `classify` then uses for auto.

    Examples:

        cancernet bench

        cancernet bench --input ./slides --model models/mine --json before.json

        cancernet bench --input ./slides --model models/mine --compare before.json --plot bench.png

        cancernet bench --sweep-batch-size 1,4,16,64 --sweep-workers 0,1,2,4

        cancernet bench --backbone resnet50 --image-format jpeg --size 1024x768 --files 200
    """
    with progress.reporter(format) as report:
        from cancernet_cli.engine.bench.run import bench as measure  # torch is imported here, not at --help

        record = measure(options, report)
    if format == "json":
        output.record(record)
    elif format == "human":
        from cancernet_cli.cli.render.bench import bench_parts

        output.show(*bench_parts(record))
        for name, path in (("record", options.json), ("plot", options.plot)):
            if path:
                output.line(f"{name:<12} {path}")
