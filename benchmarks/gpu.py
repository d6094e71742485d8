"""What a GPU does, in one run of less than ten minutes: networks alone, the whole way from JPEG files, how busy it is.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --backbones resnet50 --batch-sizes 64,128,256,512

In this order, each step only if enough of `--limit-s` is left for it; what was found so far is written after each:

1. The bundled model's cascade: probabilities against those of the CPU in fp32; its rate uncompiled for each batch size,
   with cuDNN's usual and its searched kernels; compiled at the best of them, how long compiling took, from how many
   files on it pays, and how much of the arithmetic's limit is reached.
2. Its whole way from generated JPEG files, beside decoding alone and networks alone, and how busy the device was: by
   rates, and as its driver counts.
3. Each network at 224 px with random weights, as in 1.
4. nvJPEG, by torchvision: its rate, and how far its pixels lie from libjpeg-turbo's.
5. The whole way of each network, the slowest first: the others wait for the decoders.

A step that fails is told and the next one begins; the script then leaves with 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from gpu_watch import GpuWatch
from torch import Tensor

from cancernet_cli.core.events import Event, Note, Warn, silent
from cancernet_cli.core.models import DEFAULT_MODEL
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.core.options.classify import ClassifyPrecision
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.shrinking import batch_decoder
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
from cancernet_cli.engine.bench.sample import Sample, found_files, take_sample
from cancernet_cli.engine.bench.synthetic_images import write_fields
from cancernet_cli.engine.bench.timing import Cost, Spread, costs
from cancernet_cli.engine.classify.job import Job, prepare
from cancernet_cli.inference.open import open_runner
from cancernet_cli.inference.pipeline import load_pipeline
from cancernet_cli.inference.runner import Runner
from cancernet_cli.inference.runtime import Runtime
from cancernet_cli.inference.torch_runner import TorchRunner
from cancernet_cli.metrics.probabilities import softmax

BARS = {"resnet50": 12_000, "densenet121": 9_000, "vgg16": 6_000}  # images/s on an H100, half precision, 224 px
OF_THE_SLOWER = 0.9  # the whole way, of the slower of decoding alone and networks alone
BUSY = 0.9
# Of probabilities, against the CPU's in fp32; random weights magnify rounding.
TOLERANCES = {"fp32": 1e-3, "fp16": 3e-2, "bf16": 1e-1}
AGREEMENT_VIEWS = 8
MAX_PIXELS = 100_000_000
AT_LEAST_S = {"network": 80, "whole way": 110, "nvjpeg": 15}  # what a step may take on an H100 with 16 cores

Found = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What every step needs: the files, how they are classified, and how often all is measured."""

    images: Path
    options: ClassifyOptions
    batch_sizes: tuple[int, ...]
    repeat: int

    def job(self, model: Path | str, batch_size: int | None = None) -> Job:
        """A run of a model over the files."""
        chosen = batch_size or self.options.batch_size
        return prepare(str(self.images), replace(self.options, model=str(model), batch_size=chosen))


class Told:
    """Keeps the engine's notes and warnings: a network that could not be compiled explains its rate."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Note | Warn):
            self.words.append(event.message)


def network(setting: Setting, model: Path | str, bar: float | None = None) -> Found:
    """A model's networks alone: agreement with the CPU, rates uncompiled and compiled, and what limits them."""
    told = Told()
    precisions: set[ClassifyPrecision] = {"fp32", setting.options.precision}
    agreement = {name: against_cpu(setting, model, name) for name in sorted(precisions)}
    rates = {size: uncompiled_rates(setting, model, size) for size in setting.batch_sizes}
    best = max(rates, key=lambda size: rates[size]["usual"])
    job = setting.job(model, best)
    sample = sample_of(job)
    runner, open_s = opened(job, told, files=None)
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
        "told": told.words,
    }
    return found | ({"bar_images_per_s": bar, "is_met": per_s >= bar} if bar else {})


def against_cpu(setting: Setting, model: Path | str, precision: ClassifyPrecision) -> Found:
    """How far probabilities lie from those that PyTorch gives on the CPU in fp32, on a few views."""
    job = replace(setting, options=replace(setting.options, precision=precision)).job(model)
    pixels = sample_of(job).pixels[:AGREEMENT_VIEWS]
    runner, _ = opened(job, silent, files=1)
    ours = runner.start(ready(pixels, job.runtime))()
    plain = Runtime(torch.device("cpu"), "fp32", len(pixels), 0)
    theirs = TorchRunner(load_pipeline(job.folder, job.card), plain).start(pixels)()
    apart = float(np.abs(softmax(ours.logits) - softmax(theirs.logits)).max())
    most = TOLERANCES[precision]
    # NaN agrees with nothing.
    return {"largest_difference": apart, "tolerance": most, "agrees": apart <= most, "views": len(pixels)}


def uncompiled_rates(setting: Setting, model: Path | str, batch_size: int) -> Found:
    """Images a second of PyTorch's own kernels: cuDNN's usual choice, and the quickest that it finds by trying."""
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


def whole_way(setting: Setting, model: Path | str, batch_size: int) -> Found:
    """From files to a table: its rate, what bounds it, and how busy the device was."""
    job = setting.job(model, batch_size)
    files = found_files(setting.images, job.card)
    sample = sample_of(job, files)
    decode = loader_rate(job, files, setting.repeat)
    runner, open_s = opened(job, silent, files=len(files))
    alone = of_images(model_only(runner, ready(sample.pixels, job.runtime), repeat=setting.repeat), sample)
    del runner  # its memory is the next run's
    told = Told()
    runs: list[WholeRun] = []
    driver: list[Found | None] = []
    for _ in range(setting.repeat):
        with GpuWatch(job.runtime.device.type) as watch:
            started = time.perf_counter()
            runs.append(whole_run(setting.images, job.options, told))
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
        "told": sorted(set(told.words)),
    }


def nvjpeg(images: Path, device: str, batch_size: int, repeat: int) -> Found:
    """JPEG files decoded by torchvision on the device (nvJPEG on CUDA): its rate, and how far pixels lie apart."""
    from torchvision.io import ImageReadMode, decode_jpeg  # torchvision 0.29 announces their end: this step alone fails

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
    """The loader by itself, with a run's own workers and batches."""
    runtime, policy = job.runtime, job.card.input
    return decode_only(
        files,
        batch_decoder(policy, MAX_PIXELS, shrink=job.options.jpeg_scale == "auto"),
        files_a_batch=runtime.batch_size if policy.view == "resize" else max(1, runtime.batch_size // 4),
        workers=runtime.workers,
        pin_memory=runtime.device.type == "cuda",
        repeat=repeat,
    )


def opened(job: Job, report: Callable[[Event], None], *, files: int | None) -> tuple[Runner, float]:
    """What runs the networks, as a run over so many files would open it, and the seconds that it took."""
    started = time.perf_counter()
    runner = open_runner(job.folder, job.card, job.runtime, files=files, report=report)
    return runner, time.perf_counter() - started


def sample_of(job: Job, files: list[FoundFile] | None = None) -> Sample:
    """A batch of the run's own views."""
    found = files or found_files(Path(job.inputs[0].text), job.card)
    return take_sample(found, job.card, batch_size=job.runtime.batch_size, max_pixels=MAX_PIXELS)


def ready(pixels: Tensor, runtime: Runtime) -> Tensor:
    """Views as the loader hands them over: in memory that the device copies from by itself."""
    return pixels.pin_memory() if runtime.device.type == "cuda" else pixels


def of_images(alone: ModelOnly, sample: Sample) -> Spread:
    """The networks' rate in images a second."""
    rate = alone.views_per_s
    return Spread(*(one / sample.views_per_image for one in (rate.median, rate.min, rate.max)))


def arithmetic(job: Job, sample: Sample, per_s: float) -> Found:
    """Operations of an image, and the share of the device's rate at large matrices that the networks reach."""
    flops = flops_per_view(load_pipeline(job.folder, job.card), sample.pixels[:1]) * sample.views_per_image
    rate = matrix_rate(job.runtime)
    reached = flops * per_s / rate if rate else None
    return {"flops_per_image": flops, "matrix_flops_per_s": rate, "reached": reached}


def pays_from(open_s: float, plain_per_s: float, compiled_per_s: float) -> int | None:
    """From how many files on compiling is quicker in all; None where it never is."""
    saved_s = 1 / plain_per_s - 1 / compiled_per_s
    return round(open_s / saved_s) if saved_s > 0 else None


def steady(run: WholeRun, started: float) -> tuple[float, float]:
    """The stretch of a run in which it was under way: behind the first rows, and before the last tenth."""
    first = started + run.first_row_s
    return first, first + 0.9 * run.files / run.images_per_s


class Steps:
    """Runs steps while there is time for them; `keep` gets what was found after each."""

    def __init__(self, limit_s: float, keep: Callable[[Found], object]) -> None:
        self.found: Found = {}
        self.failed: list[str] = []
        self._started = time.perf_counter()
        self._limit_s = limit_s
        self._keep = keep

    def __call__(self, name: str, kind: str, step: Callable[[], Found]) -> Found:
        """What a step found, under its name, or why there is nothing: no time was left for its kind, or it failed."""
        left_s = self._limit_s - (time.perf_counter() - self._started)
        if left_s < AT_LEAST_S[kind]:
            found: Found = {"skipped": f"{left_s:.0f} s of --limit-s were left, and it may take {AT_LEAST_S[kind]}"}
        else:
            print(f"{name} ({left_s:.0f} s left)", file=sys.stderr)
            began = time.perf_counter()
            try:
                found = step()
            except Exception as error:  # a GPU is rarely at hand: what the other steps find is worth having
                traceback.print_exc()
                found = {"failed": f"{type(error).__name__}: {error}"}
                self.failed.append(name)
            found["took_s"] = time.perf_counter() - began
        self.found[name] = found
        self._keep(self.found)
        return found


def facts(device: str) -> Found:
    """Machine, versions and command; of a GPU also its memory, and the CUDA and cuDNN that PyTorch brings."""
    found = machine.facts()
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        found["machine"]["gpu_memory_bytes"] = properties.total_memory
        found["versions"] |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}  # type: ignore[no-untyped-call]
    return found


def main() -> None:
    """Read the command line, run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", default=",".join(BARS), help="networks to measure alone, with commas")
    parser.add_argument("--batch-sizes", default="64,256", help="views a pass takes; the quickest is compiled")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="the cascade to measure")
    parser.add_argument("--precision", default="fp16", choices=tuple(TOLERANCES))
    parser.add_argument("--files", type=int, default=49_152, help="JPEG files, links to 16 pictures")
    parser.add_argument("--size", default="700x460", help="of a JPEG, in pixels")
    parser.add_argument("--jpeg-scale", default="full", choices=("full", "auto"), help="as for cancernet classify")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--limit-s", type=float, default=560, help="no step begins that may not end before")
    parser.add_argument("--device", default="cuda", help="cpu checks that the script works")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no CUDA device; --device cpu only checks that the script works")
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
        steps("cascade_from_files", "whole way", partial(whole_way, setting, given.model, chosen))
        models = {name: random_model(scratch / "models" / name, name) for name in backbones}
        for name, model in models.items():
            best[name] = steps(name, "network", partial(network, setting, model, BARS.get(name))).get("batch_size")
        steps("nvjpeg", "nvjpeg", partial(nvjpeg, setting.images, given.device, sizes[-1], given.repeat))
        for name, model in reversed(models.items()):
            chosen = best[name] or sizes[0]
            steps(f"{name}_from_files", "whole way", partial(whole_way, setting, model, chosen))
    machine.report("engine", about | steps.found, out)
    if steps.failed:
        raise SystemExit(f"failed: {', '.join(steps.failed)}")


if __name__ == "__main__":
    main()
