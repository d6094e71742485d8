"""Tests that need a CUDA device: run with `pytest -m gpu`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from cancernet_cli import classify
from cancernet_cli.core.cards import read_card
from cancernet_cli.core.events import Event, Note
from cancernet_cli.engine.classify.pending import Hooks
from cancernet_cli.inference.cuda_runner import COMPILED, CudaRunner
from cancernet_cli.inference.open import open_runner
from cancernet_cli.inference.pipeline import Pipeline, load_pipeline
from cancernet_cli.inference.runner import Outputs, Runner
from cancernet_cli.inference.runtime import Runtime
from cancernet_cli.inference.torch_runner import TorchRunner
from tests.tiny_model import write_tiny_model
from tests.tiny_pipeline import VIEW_PX, tiny_pipeline, views

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(300),  # the first test loads CUDA, some compile
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device found"),
]
TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 6e-2}  # of probabilities


def on(device: str, batch_size: int = 4, precision: str = "fp32") -> Runtime:
    return Runtime(torch.device(device), precision, batch_size, 0)


def probabilities(answer: Outputs) -> np.ndarray:
    return torch.softmax(torch.from_numpy(answer.logits), dim=1).numpy()


def by_cpu(pipeline: Pipeline, pixels: Tensor) -> Outputs:
    return TorchRunner(pipeline, on("cpu"), want_mask=True).start(pixels)()


@pytest.fixture
def uncompiled() -> Hooks:
    """Runs so short that they compile nothing, which would take most of the tests' time."""

    def opened(*args: Any, **options: Any) -> Runner:
        return open_runner(*args, **options | {"files": 1})

    return Hooks(open_runner=opened)


@pytest.fixture
def no_waits() -> Iterator[None]:
    """Make PyTorch raise on implicit synchronisation; waiting for an event is explicit."""
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("mode", [None, COMPILED])
@pytest.mark.parametrize("precision", TOLERANCES)
def test_novelty_is_that_of_the_cpu(tmp_path: Path, precision: str, mode: str | None) -> None:
    folder = write_tiny_model(tmp_path / "tiny", rank=3)
    card = read_card(folder)
    pixels = views(6)
    expected = by_cpu(load_pipeline(folder, card), pixels)
    assert expected.novelty is not None
    runner = CudaRunner(load_pipeline(folder, card), on("cuda", precision=precision), VIEW_PX, mode=mode)
    found = runner.start(pixels.pin_memory())()
    assert found.novelty is not None
    np.testing.assert_allclose(found.novelty, expected.novelty, rtol=10 * TOLERANCES[precision])
    np.testing.assert_allclose(probabilities(found), probabilities(expected), atol=TOLERANCES[precision])


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("segmenter", ["none", "threshold", "watershed"])
def test_a_run_gives_the_cpus_probabilities(
    tiny_folder: Path, tmp_path: Path, segmenter: str, precision: str, uncompiled: Hooks
) -> None:
    model = str(write_tiny_model(tmp_path / "tiny_model", view="grid"))
    found = {}
    for device, chosen in (("cpu", "fp32"), ("cuda", precision)):
        result = classify(
            tiny_folder,
            out=tmp_path / f"{device}.parquet",
            model=model,
            segmenter=segmenter,
            runtime="torch",
            device=device,
            precision=chosen,
            batch_size=4,
            workers=2,  # their pinned memory is made while the graph is captured
            hooks=uncompiled,
        )
        found[device] = pq.read_table(result.out)["prob_malignant"].to_pylist()
    assert len(found["cuda"]) == 8
    assert found["cuda"] == pytest.approx(found["cpu"], abs=TOLERANCES[precision])


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize(
    ("segmenter", "head", "stain_normalization"),
    [("unet", "correlations", "scaled"), ("unet", "level_stats", "balanced"), ("threshold", "flatten", "none")],
)
def test_the_cascade_gives_the_cpus_probabilities(
    tmp_path: Path, segmenter: str, head: str, stain_normalization: str, precision: str
) -> None:
    pipeline = tiny_pipeline(tmp_path, segmenter=segmenter, head=head, stain_normalization=stain_normalization)
    expected = by_cpu(pipeline, views(6))
    runner = CudaRunner(pipeline, on("cuda", 4, precision), VIEW_PX, want_mask=True, mode=None)
    found = runner.start(views(6).pin_memory())()  # the second pass is half empty
    assert probabilities(found) == pytest.approx(probabilities(expected), abs=TOLERANCES[precision])
    assert found.mask is not None
    assert found.mask.shape == (6, 64, 64)
    assert found.mask_fraction == pytest.approx(expected.mask_fraction, abs=TOLERANCES[precision])


@pytest.mark.parametrize(("segmenter", "stain_normalization"), [("unet", "scaled"), ("threshold", "none")])
def test_the_cascade_compiles_into_one_graph(tmp_path: Path, segmenter: str, stain_normalization: str) -> None:
    pipeline = tiny_pipeline(
        tmp_path, segmenter=segmenter, head="correlations", stain_normalization=stain_normalization
    )
    told: list[Event] = []
    runner = CudaRunner(pipeline, on("cuda", 4, "fp16"), VIEW_PX, mode=COMPILED, report=told.append)
    assert told == []  # neither that it cannot be compiled nor a shortage of memory
    found = runner.start(views(6).pin_memory())()
    expected = by_cpu(pipeline, views(6))
    assert probabilities(found) == pytest.approx(probabilities(expected), abs=TOLERANCES["fp16"])


def test_outputs_outlive_later_passes(tmp_path: Path) -> None:
    pipeline = tiny_pipeline(tmp_path, segmenter="unet")
    runner = CudaRunner(pipeline, on("cuda"), VIEW_PX, want_mask=True, mode=None)
    batches = [views(1 + i % 7, 3 * i) for i in range(24)]
    pinned = [batch.pin_memory() for batch in batches]
    waits = [runner.start(batch) for batch in pinned]
    outputs = [wait() for wait in waits]  # all after all: nothing may have been overwritten
    for batch, found in zip(batches, outputs, strict=True):
        expected = by_cpu(pipeline, batch)
        assert found.logits == pytest.approx(expected.logits, abs=1e-3)
        assert found.mask == pytest.approx(expected.mask, abs=1e-3)


def test_nothing_in_a_runs_loop_waits_for_the_device(tiny_folder: Path, tmp_path: Path, no_waits: None) -> None:
    def opened(*args: Any, **options: Any) -> Runner:
        runner = open_runner(*args, **options | {"files": 1})
        assert isinstance(runner, CudaRunner)
        torch.cuda.set_sync_debug_mode("error")
        return runner

    hooks = Hooks(open_runner=opened)
    model = str(write_tiny_model(tmp_path / "tiny_model"))
    out = tmp_path / "predictions.parquet"
    result = classify(tiny_folder, out=out, model=model, device="cuda", batch_size=2, workers=2, hooks=hooks)
    assert (result.files, result.failed) == (8, 0)


def test_implicit_synchronisation_raises_in_debug_mode(no_waits: None) -> None:
    there = torch.ones(1, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    with pytest.raises(RuntimeError, match="synchroniz"):
        there.item()


def test_starting_a_batch_does_not_wait_for_earlier_ones(tmp_path: Path) -> None:
    pipeline = tiny_pipeline(tmp_path, segmenter="none")
    runner = CudaRunner(pipeline, on("cuda"), VIEW_PX, mode=None)
    batches = [views(4, 4 * i).pin_memory() for i in range(1 + runner.in_flight)]
    for wait in [runner.start(batch) for batch in batches]:  # pinned memory for all the outputs is there from now on
        wait()
    busy = torch.cuda.Event()
    with torch.cuda.stream(runner._graph._computing):
        torch.cuda._sleep(4_000_000_000)  # cycles: some two seconds
        busy.record()
    waits = deque(runner.start(batch) for batch in batches)
    assert not busy.query()
    while waits:
        assert waits.popleft()().logits.shape == (4, 2)
    assert busy.query()


def test_once_opened_nothing_is_allocated_on_the_device(tmp_path: Path) -> None:
    pipeline = tiny_pipeline(tmp_path, segmenter="unet", stain_normalization="scaled")
    runner = CudaRunner(pipeline, on("cuda"), VIEW_PX, want_mask=True, mode=None)
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    for i in range(8):
        runner.start(views(1 + i).pin_memory())()
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == before


def test_passes_are_halved_until_one_fits(tmp_path: Path) -> None:
    pipeline = tiny_pipeline(tmp_path, segmenter="unet")
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    told: list[Event] = []
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 1e9) / total)
    try:
        runner = CudaRunner(pipeline, on("cuda", 65536), VIEW_PX, mode=None, report=told.append)
        found = runner.start(views(6).pin_memory())()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert 1 < runner.batch_size < 65536
    assert isinstance(told[0], Note)
    assert "a batch of 65536 views does not fit" in told[0].message
    assert probabilities(found) == pytest.approx(probabilities(by_cpu(pipeline, views(6))), abs=1e-4)
