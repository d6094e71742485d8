"""Every stage of the way from a file to its row, measured by itself."""

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
from cancernet_cli.data.loading.quality import quality
from cancernet_cli.data.loading.shrinking import needed
from cancernet_cli.data.loading.views import make_views
from cancernet_cli.data.readers import ShrunkImage, read_image, read_shrunk
from cancernet_cli.engine.bench.sample import Sample
from cancernet_cli.engine.bench.timing import Cost, cost, costs
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.predictions import judge, record_batch
from cancernet_cli.inference.pipeline import Pipeline
from cancernet_cli.inference.runner import Answer
from cancernet_cli.inference.runtime import PRECISIONS, Runtime
from cancernet_cli.outputs.tables.parts import FLUSH_ROWS, Finished, PartWriter
from cancernet_cli.outputs.tables.predictions import part_schema, table_schema
from cancernet_cli.segmentation import combine
from cancernet_cli.segmentation.density import scale_density

FILE_STAGES = ("read", "decode", "quality", "views")
NETWORK_STAGES = ("host_to_device", "normalise", "segment", "combine", "classify", "device_to_host")
STAGES = (*FILE_STAGES, *NETWORK_STAGES, "write")

Costs = dict[str, list[Cost]]


def file_stages(sample: Sample, card: Card, *, max_pixels: int, shrink: bool = False, repeat: int) -> Costs:
    """What an image costs the loader: `repeat` means over the sample, by one thread, as in a worker.

    A file is read from memory, where the system keeps what was read before; `decode` is `read_image` without it.

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
    def decoded(place: bytes) -> ShrunkImage:
        if shrink:
            return read_shrunk(place, partial(needed, card.input), max_pixels=max_pixels)
        pixels = read_image(place, max_pixels=max_pixels)
        return ShrunkImage(pixels, pixels.shape[1], pixels.shape[0])

    def cut(image: ShrunkImage) -> Pixels:
        return make_views(image.pixels, card.input, (image.width_px, image.height_px))

    def each(work: Callable[[Any], object], over: list[Any]) -> Cost:
        def all_of_them() -> None:
            for one in over:
                work(one)

        return cost(all_of_them) / len(over)

    places = [file.location for file in sample.files]
    images = [decoded(place) for place in places]
    found: Costs = {name: [] for name in FILE_STAGES}
    for _ in range(repeat):
        read = each(_read, places)
        found["read"].append(read)
        found["decode"].append(each(decoded, places).less(read))
        found["quality"].append(each(lambda image: quality(image.pixels), images))
        found["views"].append(each(cut, images))
    return found


def network_stages(
    pipeline: Pipeline, views: Tensor, runtime: Runtime, *, repeat: int, only: tuple[str, ...] = NETWORK_STAGES
) -> Costs:
    """What a view costs the device, stage by stage, by PyTorch as it comes: neither compiled nor overlapped.

    Args:
        views: `[V, h, w, 3]` uint8, a batch.
        only: these of the stages.
    """
    device, dtype = runtime.device, PRECISIONS.get(runtime.precision, torch.float32)
    pipeline = pipeline.eval().to(device).to(memory_format=torch.channels_last)
    found: Costs = {}
    with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        there = views.to(device)
        pixels = as_pixels(there)
        mask = pipeline.segmenter(pixels)
        dense = scaled(pipeline, pixels)
        seen = normalised(pipeline, combine(dense, mask, pipeline.keep))
        logits = pipeline.classifier(seen).float()
        work: dict[str, Callable[[], object]] = {
            "host_to_device": lambda: views.to(device, non_blocking=True),
            "normalise": lambda: normalised(pipeline, scaled(pipeline, as_pixels(there))),
            "segment": lambda: pipeline.segmenter(pixels),
            "combine": lambda: (combine(dense, mask, pipeline.keep), mask.float().mean(dim=(1, 2, 3))),
            "classify": lambda: pipeline.classifier(seen),
            "device_to_host": lambda: logits.cpu(),
        }
        for name in only:
            found[name] = [one / len(views) for one in costs(work[name], repeat, device)]
    return found


def as_pixels(views: Tensor) -> Tensor:
    """Views `[V, h, w, 3]` uint8 as a network's pixels, `[V, 3, h, w]` float, 0 to 1."""
    return views.permute(0, 3, 1, 2).float() / 255


def scaled(pipeline: Pipeline, pixels: Tensor) -> Tensor:
    """Pixels with their optical density as the pipeline wants it."""
    return pixels if pipeline.density == "as_is" else scale_density(pixels, balance=pipeline.density == "balanced")


def normalised(pipeline: Pipeline, pixels: Tensor) -> Tensor:
    """Pixels less the mean, by the deviation."""
    return (pixels - pipeline.mean) / pipeline.std


def write_stage(sample: Sample, job: Job, answer: Answer, *, repeat: int) -> list[Cost]:
    """What an image costs to decide on and to write, in a part as large as a long run writes."""
    card = job.card
    schema = part_schema(table_schema(card.architecture.classes, job.state))
    files = len(sample.files)

    def rows() -> Any:
        return record_batch(sample.batch, judge(sample.batch, answer, card), card, schema)

    finished = Finished(rows())
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
    return [Cost(a.wall_s + b.wall_s, a.core_s + b.core_s) for a, b in zip(made, written, strict=True)]


def _read(location: bytes) -> bytes:
    with open(location, "rb") as file:
        return file.read()
