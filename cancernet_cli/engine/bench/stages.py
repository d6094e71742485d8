"""Measure separately each stage from a file to its row in the table."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.cards import Card
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.quality import quality
from cancernet_cli.data.loading.views import make_views, scaled_size
from cancernet_cli.data.readers import ShrunkImage, read_image, read_shrunk
from cancernet_cli.data.scales import image_policy
from cancernet_cli.engine.bench.sample import Sample
from cancernet_cli.engine.bench.timing import Cost, cost, costs
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.predictions import predict, record_batch
from cancernet_cli.inference.pipeline import Batch, Pipeline
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.inference.runtime import PRECISIONS, Runtime
from cancernet_cli.outputs.tables.parts import FLUSH_ROWS, BatchOutcome, PartWriter
from cancernet_cli.outputs.tables.predictions import part_schema, table_schema

FILE_STAGES = ("read", "decode", "quality", "views")
PIPELINE_STAGES = ("normalise", "segment", "combine", "classify")
NETWORK_STAGES = ("host_to_device", *PIPELINE_STAGES, "device_to_host")
STAGES = (*FILE_STAGES, *NETWORK_STAGES, "write")

Costs = dict[str, list[Cost]]


def file_stages(sample: Sample, card: Card, *, max_pixels: int, shrink: bool = False, repeat: int) -> Costs:
    """Cost per image of each loader stage: `repeat` means over the sample, on one thread as in a worker.

    Files are read from the page cache. `decode` is `read_image` without reading the file.

    Args:
        shrink: decode as with `--jpeg-scale auto`.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return _file_stages(sample, card, max_pixels, shrink, repeat)
    finally:
        cv2.setNumThreads(threads)


def _file_stages(sample: Sample, card: Card, max_pixels: int, shrink: bool, repeat: int) -> Costs:
    def decoded(file: FoundFile) -> ShrunkImage:
        if shrink:
            needs = partial(scaled_size, image_policy(card.input, file.truth))
            return read_shrunk(file.location, needs, max_pixels=max_pixels)
        pixels = read_image(file.location, max_pixels=max_pixels)
        return ShrunkImage(pixels, pixels.shape[1], pixels.shape[0])

    def cut(one: tuple[FoundFile, ShrunkImage]) -> Pixels:
        file, image = one
        return make_views(image.pixels, image_policy(card.input, file.truth), (image.width_px, image.height_px))

    def each(work: Callable[[Any], object], over: list[Any]) -> Cost:
        def all_of_them() -> None:
            for one in over:
                work(one)

        return cost(all_of_them) / len(over)

    images = [decoded(file) for file in sample.files]
    found: Costs = {name: [] for name in FILE_STAGES}
    for _ in range(repeat):
        read = each(_read, sample.files)
        found["read"].append(read)
        found["decode"].append(each(decoded, sample.files).less(read))
        found["quality"].append(each(lambda image: quality(image.pixels), images))
        found["views"].append(each(cut, list(zip(sample.files, images, strict=True))))
    return found


def network_stages(pipeline: Pipeline, views: Tensor, runtime: Runtime, *, repeat: int) -> Costs:
    """Cost per view of each pipeline stage in eager PyTorch, neither compiled nor overlapped.

    Args:
        views: `[V, H, W, 3]` uint8, one batch.
    """
    device, dtype = runtime.device, PRECISIONS.get(runtime.precision, torch.float32)
    pipeline = pipeline.eval().to(device).to(memory_format=torch.channels_last)
    found: Costs = {}
    with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        batch = Batch(views.to(device))
        for name, run in pipeline.stages():
            each = [one / len(views) for one in costs(partial(run, batch), repeat, device)]
            # A stage with several steps costs their sum.
            found[name] = [a + b for a, b in zip(found[name], each, strict=True)] if name in found else each
            batch = run(batch)
    return found


def transfer_stages(views: Tensor, classes: int, runtime: Runtime, *, repeat: int) -> Costs:
    """Cost per view of copying views to the device and their logits back.

    Args:
        views: `[V, H, W, 3]` uint8, one batch.
    """
    device = runtime.device
    logits = torch.zeros(len(views), classes, device=device)
    work: dict[str, Callable[[], object]] = {
        "host_to_device": lambda: views.to(device, non_blocking=True),
        "device_to_host": lambda: logits.cpu(),
    }
    return {name: [one / len(views) for one in costs(copy, repeat, device)] for name, copy in work.items()}


def write_stage(sample: Sample, job: Job, outputs: Outputs, *, repeat: int) -> list[Cost]:
    """Cost per image of deciding on a label and writing the row, in parts as large as those of a long run."""
    card = job.card
    schema = part_schema(table_schema(card.architecture.classes, job.state))
    files = len(sample.files)

    def rows() -> Any:
        return record_batch(sample.batch, predict(sample.batch, outputs, card), card, schema)

    finished = BatchOutcome(rows())
    times = -(-FLUSH_ROWS // files)

    def write() -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            PartWriter(lambda number: Path(folder) / f"{number}.parquet", schema, 0) as writer,
        ):
            for _ in range(times):
                writer.put(finished)

    made = [one / files for one in costs(rows, repeat)]
    written = [cost(write) / (files * times) for _ in range(repeat)]
    return [a + b for a, b in zip(made, written, strict=True)]


def _read(file: FoundFile) -> bytes:
    with open(file.location, "rb") as opened:
        return opened.read()
