"""Measure a GPU in less than ten minutes: networks alone, end to end from JPEG files, and utilisation.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --backbones resnet50 --batch-sizes 64,128,256,512

Steps in order, each only if enough of `--limit-s` is left; results are written after each:

1. The bundled model's cascade: probabilities compared with the CPU in fp32; its uncompiled rate for each batch size,
   with cuDNN's default and its searched kernels; its compiled rate at the best of them, the time for compiling, the
   number of files from which it pays off, and the share of the arithmetic limit reached.
   PyTorch's own CUDA graphs for comparison.
2. The cascade end to end from generated JPEG files, with decoding alone and networks alone, and the utilisation of the
   device: from the rates, and from the driver.
3. Each network at 224 px with random weights, as in 1.
4. nvJPEG by torchvision: its rate, and the difference of its pixels from libjpeg-turbo's.
5. Each network end to end, the slowest first: the others are limited by decoding.

If a step fails, it is reported and the next one starts; the script then exits with 1.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from gpu_steps import Found, Steps
from gpu_watch import GpuWatch
from torch import Tensor

from cancernet_cli.core.events import Event, Note, Warn, silent
from cancernet_cli.core.models import DEFAULT_MODEL
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.core.options.shared.loading import InferencePrecision
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.images import BatchDecoder
from cancernet_cli.data.readers import read_image
from cancernet_cli.engine.bench.end_to_end import WholeRun, whole_run
from cancernet_cli.engine.bench.limits import (
    DecodeOnly,
    ModelOnly,
    decode_only,
    flops_per_view,
    matrix_rate,
    model_only,
)
from cancernet_cli.engine.bench.random_model import random_model
from cancernet_cli.engine.bench.sample import Sample, find_images, take_sample
from cancernet_cli.engine.bench.synthetic_images import write_fields
from cancernet_cli.engine.bench.timing import Cost, Spread, costs
from cancernet_cli.engine.classify.batches import files_per_batch
from cancernet_cli.engine.classify.job import Job, prepare
from cancernet_cli.inference.cuda_runner import forward_of
from cancernet_cli.inference.open import open_runner
from cancernet_cli.inference.pipeline import load_pipeline
from cancernet_cli.inference.reduced_precision import reduce_precision
from cancernet_cli.inference.runner import Runner
from cancernet_cli.inference.runtime import PRECISIONS, Runtime
from cancernet_cli.inference.torch_runner import TorchRunner
from cancernet_cli.metrics.scores import softmax

BARS = {"resnet50": 12_000, "densenet121": 9_000, "vgg16": 6_000}  # images/s on an H100, half precision, 224 px
OF_THE_SLOWER = 0.9  # end to end, relative to the slower of decoding alone and networks alone
BUSY = 0.9
# Of logits, relative to the CPU in fp32. Probabilities prove nothing here: random weights and generated images saturate
# them at 0 or 1, where they hide an error or turn rounding into a flip.
TOLERANCES = {"fp32": 1e-3, "fp16": 3e-2, "bf16": 1e-1}
AGREEMENT_VIEWS = 8
MAX_PIXELS = 100_000_000


@dataclass(frozen=True)
class Setting:
    """Settings of every step: files, options, batch sizes and repetitions."""

    images: Path
    options: ClassifyOptions
    batch_sizes: tuple[int, ...]
    repeat: int

    def job(self, model: Path | str, batch_size: int | None = None) -> Job:
        """A run of a model over the files."""
        chosen = batch_size or self.options.batch_size
        return prepare(str(self.images), replace(self.options, model=str(model), batch_size=chosen))


class Messages:
    """Collects notes and warnings, such as a failed compilation, which explain a rate."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Note | Warn):
            self.all.append(event.message)


def network(setting: Setting, model: Path | str, bar: float | None = None) -> Found:
    """Measure a model's networks alone: agreement with the CPU, rates uncompiled and compiled, and their limit."""
    messages = Messages()
    precisions: set[InferencePrecision] = {"fp32", setting.options.precision}
    agreement = {name: against_cpu(setting, model, name) for name in sorted(precisions)}
    rates = {size: uncompiled_rates(setting, model, size) for size in setting.batch_sizes}
    best = max(rates, key=lambda size: rates[size]["usual"])
    job = setting.job(model, best)
    sample = sample_of(job)
    runner, open_s = opened(job, messages, files=None)
    alone = model_only(runner, ready(sample.pixels, job.runtime), repeat=setting.repeat)
    per_s = alone.views_per_s.median / sample.views_per_image
    found: Found = {
        "agreement": agreement,
        "uncompiled_images_per_s": {str(size): rate for size, rate in rates.items()},
        "batch_size": best,
        "open_and_compile_s": open_s,
        "compiled_images_per_s": asdict(of_images(alone, sample)),
        "compiling_pays_from_files": pays_from(open_s, rates[best]["usual"], per_s),
        "arithmetic": arithmetic(job, sample, per_s),
        "told": messages.all,
    }
    return found | ({"bar_images_per_s": bar, "is_met": per_s >= bar} if bar else {})


def against_cpu(setting: Setting, model: Path | str, precision: InferencePrecision) -> Found:
    """Difference of logits from those of PyTorch on the CPU in fp32, on a few views."""
    job = replace(setting, options=replace(setting.options, precision=precision)).job(model)
    pixels = sample_of(job).pixels[:AGREEMENT_VIEWS]
    runner, _ = opened(job, silent, files=1)
    ours = runner.start(ready(pixels, job.runtime))()
    plain = Runtime(torch.device("cpu"), "fp32", len(pixels), 0)
    theirs = TorchRunner(load_pipeline(job.folder, job.card), plain).start(pixels)()
    apart = relative_error(ours.logits, theirs.logits)
    most = TOLERANCES[precision]
    # A NaN does not agree.
    return {
        "relative_error_of_logits": apart,
        "tolerance": most,
        "agrees": apart <= most,
        "largest_difference_of_probabilities": float(np.abs(softmax(ours.logits) - softmax(theirs.logits)).max()),
        "views": len(pixels),
    }


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Norm of the difference of logits `[V, K]`, relative to theirs; each row less its mean (softmax ignores it)."""
    ours, theirs = (logits - logits.mean(axis=1, keepdims=True) for logits in (ours, theirs))
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def uncompiled_rates(setting: Setting, model: Path | str, batch_size: int) -> Found:
    """Images per second of uncompiled PyTorch: with cuDNN's default kernels, and with the fastest found by search."""
    job = setting.job(model, batch_size)
    sample = sample_of(job)
    found: Found = {}
    for name, is_searched in (("usual", False), ("searched", True)):
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = is_searched
        try:
            runner, _ = opened(job, silent, files=1)
            found[name] = of_images(model_only(runner, ready(sample.pixels, job.runtime), repeat=1), sample).median
        finally:
            torch.backends.cudnn.benchmark = before
    return found


def by_torch_graphs(setting: Setting, model: Path | str, batch_size: int) -> Found:
    """Measure PyTorch's own CUDA graphs (`torch.compile(mode="reduce-overhead")`) in place of `CudaGraph`."""
    job = setting.job(model, batch_size)
    device = job.runtime.device
    pipeline = load_pipeline(job.folder, job.card)
    ready_pipeline = reduce_precision(pipeline, PRECISIONS[job.runtime.precision]).to(device)
    forward: Any = torch.compile(forward_of(ready_pipeline), mode="reduce-overhead", fullgraph=True, dynamic=False)
    sample = sample_of(job)
    pixels = ready(sample.pixels, job.runtime)

    def one_batch() -> None:
        with torch.no_grad():
            for output in forward(pixels.to(device, non_blocking=True)):
                output.to("cpu", non_blocking=True)

    started = time.perf_counter()
    for _ in range(3):  # compiles, records, replays
        one_batch()
    opened_s = time.perf_counter() - started
    per_batch = costs(one_batch, setting.repeat, device)
    return {
        "open_and_compile_s": opened_s,
        "images_per_s": asdict(Spread.of(len(pixels) / sample.views_per_image / one.wall_s for one in per_batch)),
    }


def end_to_end(setting: Setting, model: Path | str, batch_size: int) -> Found:
    """Measure from files to a table: the rate, its limits, and the utilisation of the device."""
    job = setting.job(model, batch_size)
    files = find_images(setting.images, job.card)
    sample = sample_of(job, files)
    decode = loader_rate(job, files, setting.repeat)
    runner, open_s = opened(job, silent, files=len(files))
    alone = of_images(model_only(runner, ready(sample.pixels, job.runtime), repeat=setting.repeat), sample)
    del runner  # frees its memory for the next run
    messages = Messages()
    runs: list[WholeRun] = []
    driver: list[Found | None] = []
    for _ in range(setting.repeat):
        with GpuWatch(job.runtime.device.type) as watch:
            started = time.perf_counter()
            runs.append(whole_run(setting.images, job.options, messages))
        driver.append(watch.between(*steady(runs[-1], started)))
    rate = Spread.of(run.images_per_s for run in runs)
    slower = min(decode.images_per_s.median, alone.median)
    return {
        "files": len(files),
        "batch_size": job.runtime.batch_size,
        "workers": job.runtime.workers,
        "images_per_s": asdict(rate),
        "is_steady": all(run.is_steady for run in runs),
        "decode_only_images_per_s": asdict(decode.images_per_s),
        "decode_core_ms": decode.core_s_per_image * 1e3,
        "model_only_images_per_s": asdict(alone),
        "of_the_slower": rate.median / slower,
        "of_the_slower_bar": OF_THE_SLOWER,
        "of_the_slower_is_met": rate.median / slower >= OF_THE_SLOWER,
        "busy_by_rates": rate.median / alone.median,
        "busy_by_driver": driver,
        "busy_bar": BUSY,
        "busy_is_met": rate.median / alone.median >= BUSY,
        "waiting_for_batches": Spread.of(run.waiting_for_batches for run in runs).median,
        "waiting_for_answers": Spread.of(run.waiting_for_answers for run in runs).median,
        "open_s": open_s,
        "first_row_s": asdict(Spread.of(run.first_row_s for run in runs)),
        "device_peak_bytes": max((run.device_peak_bytes or 0 for run in runs), default=0) or None,
        "told": sorted(set(messages.all)),
    }


def nvjpeg(images: Path, device: str, batch_size: int, repeat: int) -> Found:
    """Measure torchvision decoding JPEG on the device (nvJPEG on CUDA): its rate, and its pixel differences."""
    from torchvision.io import (
        ImageReadMode,
        decode_jpeg,
    )  # deprecated since torchvision 0.29; if removed, only this step fails

    paths = sorted(images.iterdir())[:batch_size]
    packed = [torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8) for path in paths]

    def decoded() -> list[Tensor]:
        return decode_jpeg(packed, mode=ImageReadMode.RGB, device=device)  # type: ignore[no-any-return]

    by_turbo = read_image(bytes(paths[0]), max_pixels=MAX_PIXELS).astype(np.int16)
    apart = np.abs(decoded()[0].permute(1, 2, 0).cpu().numpy().astype(np.int16) - by_turbo)
    each: list[Cost] = [one / len(paths) for one in costs(decoded, repeat, torch.device(device))]
    return {
        "batch_size": len(paths),
        "images_per_s": asdict(Spread.of(1 / one.wall_s for one in each)),
        "core_ms": Spread.of(one.core_s * 1e3 for one in each).median,
        "pixel_largest_difference": int(apart.max()),
        "pixel_mean_difference": float(apart.mean()),
    }


def loader_rate(job: Job, files: list[FoundFile], repeat: int) -> DecodeOnly:
    """Measure the loader alone, with the workers and batches of a run."""
    runtime = job.runtime
    return decode_only(
        files,
        BatchDecoder(job.card.input, MAX_PIXELS, shrink=job.options.jpeg_scale == "auto"),
        files_per_batch=files_per_batch(job.card, runtime.batch_size),
        workers=runtime.workers,
        pin_memory=runtime.device.type == "cuda",
        repeat=repeat,
    )


def opened(job: Job, report: Callable[[Event], None], *, files: int | None) -> tuple[Runner, float]:
    """The runner for a run over `files` files, and the seconds to open it."""
    started = time.perf_counter()
    runner = open_runner(job.folder, job.card, job.runtime, files=files, report=report)
    return runner, time.perf_counter() - started


def sample_of(job: Job, files: list[FoundFile] | None = None) -> Sample:
    """A batch of the run's own views."""
    found = files or find_images(Path(job.inputs[0].text), job.card)
    return take_sample(found, job.card, batch_size=job.runtime.batch_size, max_pixels=MAX_PIXELS)


def ready(pixels: Tensor, runtime: Runtime) -> Tensor:
    """Views as delivered by the loader: in pinned memory for CUDA."""
    return pixels.pin_memory() if runtime.device.type == "cuda" else pixels


def of_images(alone: ModelOnly, sample: Sample) -> Spread:
    """The rate of the networks in images per second."""
    rate = alone.views_per_s
    return Spread(*(one / sample.views_per_image for one in (rate.median, rate.min, rate.max)))


def arithmetic(job: Job, sample: Sample, per_s: float) -> Found:
    """Operations per image, and the rate of the networks relative to large matrix products on the device."""
    flops = flops_per_view(load_pipeline(job.folder, job.card), sample.pixels[:1]) * sample.views_per_image
    rate = matrix_rate(job.runtime)
    reached = flops * per_s / rate if rate else None
    return {"flops_per_image": flops, "matrix_flops_per_s": rate, "reached": reached}


def pays_from(open_s: float, plain_per_s: float, compiled_per_s: float) -> int | None:
    """Number of files from which compiling saves time overall; None if it never does."""
    saved_s = 1 / plain_per_s - 1 / compiled_per_s
    return round(open_s / saved_s) if saved_s > 0 else None


def steady(run: WholeRun, started: float) -> tuple[float, float]:
    """Start and end of the steady part of a run: after the first rows and before the last tenth."""
    first = started + run.first_row_s
    return first, first + 0.9 * run.files / run.images_per_s


def facts(device: str) -> Found:
    """Machine, versions and command; for a GPU also its memory and the versions of CUDA and cuDNN."""
    found = machine.facts()
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        found["machine"]["gpu_memory_bytes"] = properties.total_memory
        found["versions"] |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}  # type: ignore[no-untyped-call]
    return found


def main() -> None:
    """Parse arguments, run the steps and report them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", default=",".join(BARS), help="comma-separated backbones to measure")
    parser.add_argument("--batch-sizes", default="64,256", help="comma-separated batch sizes; the fastest is compiled")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="model to measure")
    parser.add_argument("--precision", default="fp16", choices=tuple(TOLERANCES))
    parser.add_argument("--files", type=int, default=49_152, help="number of JPEG files, links to 16 images")
    parser.add_argument("--size", default="700x460", help="size of a JPEG, in pixels")
    parser.add_argument("--jpeg-scale", default="full", choices=("full", "auto"), help="as for cancernet classify")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument(
        "--limit-s", type=float, default=560, help="time limit in seconds; no step starts that might exceed it"
    )
    parser.add_argument("--device", default="cuda", help="device; cpu only checks that the script works")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("no CUDA device found; --device cpu only checks that the script works")
    backbones = [name.strip() for name in given.backbones.split(",")]
    about = facts(given.device) | {
        key: getattr(given, key) for key in ("precision", "files", "size", "jpeg_scale", "repeat")
    }
    out = given.out or machine.place("engine", about)

    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        width, height = (int(side) for side in given.size.split("x"))
        write_fields(scratch / "images", given.files, width, height, "jpeg")
        options = ClassifyOptions(
            out=scratch / "tables" / "whole.parquet",
            device=given.device,
            precision=given.precision,
            runtime="torch" if given.device == "cpu" else "auto",
            labels="none",
            jpeg_scale=given.jpeg_scale,
        )
        sizes = tuple(int(size) for size in given.batch_sizes.split(","))
        setting = Setting(scratch / "images", options, sizes, given.repeat)
        steps = Steps(given.limit_s, lambda found: machine.write(about | found, out))
        best = {"cascade": steps("cascade", "network", partial(network, setting, given.model)).get("batch_size")}
        chosen = best["cascade"] or sizes[0]
        steps("cascade_by_torch_graphs", "graphs", partial(by_torch_graphs, setting, given.model, chosen))
        steps("cascade_from_files", "end to end", partial(end_to_end, setting, given.model, chosen))
        models = {name: random_model(scratch / "models" / name, name) for name in backbones}
        for name, model in models.items():
            best[name] = steps(name, "network", partial(network, setting, model, BARS.get(name))).get("batch_size")
        steps("nvjpeg", "nvjpeg", partial(nvjpeg, setting.images, given.device, sizes[-1], given.repeat))
        for name, model in reversed(models.items()):
            chosen = best[name] or sizes[0]
            steps(f"{name}_from_files", "end to end", partial(end_to_end, setting, model, chosen))
    machine.report("engine", about | steps.found, out)
    if steps.failed:
        raise SystemExit(f"failed: {', '.join(steps.failed)}")


if __name__ == "__main__":
    main()
