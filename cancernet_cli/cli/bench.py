"""`cancernet bench`."""

from __future__ import annotations

from typing import Annotated

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.core.options import BenchOptions


@options_from(BenchOptions)
def bench(*, options: BenchOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Measure this machine: how fast `classify` is here, where its time goes, and what holds it back.

    Runs the real thing on generated images, or on yours, then each stage by itself, the networks alone and the loader
    alone. Sweeps find the best batch size, workers and precision, which `classify` then takes for auto.

    Examples:

        cancernet bench

        cancernet bench --input ./slides --model models/mine --json before.json

        cancernet bench --input ./slides --model models/mine --compare before.json --plot bench.png

        cancernet bench --sweep-batch-size 1,4,16,64 --sweep-workers 0,1,2,4

        cancernet bench --backbone resnet50 --image-format jpeg --size 1024x768 --files 200
    """
    with progress.reporter(format) as report:
        from cancernet_cli.engine.bench.run import bench as measure  # torch comes in here, not at --help

        found = measure(options, report)
    if format == "json":
        output.record(found)
    elif format == "human":
        from cancernet_cli.cli.render.bench import bench_parts

        for part in bench_parts(found):
            output.show(part)
        for name, place in (("measurement", options.json), ("plot", options.plot)):
            if place:
                output.line(f"{name:<12} {place}")
