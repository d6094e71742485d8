"""The CUDA runner without CUDA; `test_cuda.py` has the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cancernet_cli import classify
from cancernet_cli.classification import heads
from cancernet_cli.core.cards import read_card
from cancernet_cli.core.errors import DeviceError
from cancernet_cli.core.events import Event, Note, Warn
from cancernet_cli.engine.classify.pending import Hooks
from cancernet_cli.inference import cuda_runner as runner_cuda
from cancernet_cli.inference.cuda_graph import Forward
from cancernet_cli.inference.cuda_runner import CudaRunner, compiled, forward_of
from cancernet_cli.inference.open import open_runner
from cancernet_cli.inference.pipeline import Pipeline, load_pipeline
from cancernet_cli.inference.reduced_precision import ReducedPrecision, reduce_precision
from cancernet_cli.inference.runner import Runner
from cancernet_cli.inference.runtime import Runtime
from cancernet_cli.inference.torch_runner import TorchRunner
from tests.tiny_model import write_tiny_model
from tests.tiny_pipeline import VIEW_PX, tiny_pipeline, views


class Late:
    """`CudaGraph` on the CPU: one buffer that every batch overwrites; outputs are computed when waited for."""

    most: ClassVar[int] = 1000  # rows that fit
    rows: ClassVar[list[int]] = []  # of each launched pass

    def __init__(self, forward: Forward, shape: tuple[int, int, int, int], device: torch.device) -> None:
        if shape[0] > self.most:
            try:
                raise torch.OutOfMemoryError("CUDA out of memory")
            finally:  # as leaving a capture that has failed does
                raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
        self._forward = forward
        self._views = torch.zeros(shape, dtype=torch.uint8)

    def put(self, rows: Tensor, at: int) -> None:
        assert at + len(rows) <= len(self._views)
        self._views[at : at + len(rows)] = rows

    def launch(self, rows: int) -> Callable[[], list[Tensor]]:
        self.rows.append(rows)
        sent = self._views.clone()

        def wait() -> list[Tensor]:
            with torch.no_grad():
                return [output[:rows] for output in self._forward(sent)]

        return wait


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> type[Late]:
    monkeypatch.setattr(runner_cuda, "CudaGraph", Late)
    monkeypatch.setattr(Late, "rows", [])
    return Late


@pytest.fixture
def tiny(tmp_path: Path) -> Pipeline:
    folder = write_tiny_model(tmp_path / "tiny", rank=3)
    return load_pipeline(folder, read_card(folder))


def runtime(batch_size: int, precision: str = "fp32") -> Runtime:
    return Runtime(torch.device("cpu"), precision, batch_size, 0)


def test_batches_share_passes_and_each_gets_its_own_rows(tiny: Pipeline, late: type[Late]) -> None:
    runner = CudaRunner(tiny, runtime(4), VIEW_PX, want_mask=True, mode=None)
    reference = TorchRunner(tiny, runtime(4), want_mask=True)
    batches = [views(3), views(0), views(9, 3), views(1, 12), views(2, 13)]
    waits = [runner.start(batch) for batch in batches]
    assert late.rows == [4, 4, 4]  # 15 views: the rest waits for more, or until it is asked for
    for i in (2, 0, 4, 3, 1):  # in any order
        found, expected = waits[i](), reference.start(batches[i])()
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)
        np.testing.assert_allclose(found.mask_fraction, expected.mask_fraction, atol=1e-6)
        if len(batches[i]):
            np.testing.assert_allclose(found.novelty, expected.novelty, rtol=1e-3)
        if len(batches[i]):
            np.testing.assert_allclose(found.mask, expected.mask, atol=1e-6)
            assert found.logits.dtype == found.mask.dtype == np.float32
    assert late.rows == [4, 4, 4, 3]


def test_a_pass_is_launched_when_one_of_its_views_is_waited_for(tiny: Pipeline, late: type[Late]) -> None:
    runner = CudaRunner(tiny, runtime(8), VIEW_PX, mode=None)
    first, second = runner.start(views(3)), runner.start(views(2, 3))
    assert late.rows == []
    assert first().logits.shape == (3, 2)
    assert late.rows == [5]
    assert second().logits.shape == (2, 2)
    assert runner.start(views(1))().mask is None
    assert late.rows == [5, 1]


def test_passes_are_halved_until_one_fits(tiny: Pipeline, late: type[Late], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late, "most", 3)
    told: list[Event] = []
    runner = CudaRunner(tiny, runtime(16), VIEW_PX, mode=None, report=told.append)
    assert runner.batch_size == 2
    assert told == [Note("a batch of 16 views does not fit into device memory; using batches of 2")]
    assert runner.start(views(5))().logits.shape == (5, 2)
    assert late.rows == [2, 2, 1]


def test_a_device_without_room_for_one_view_is_refused(
    tiny: Pipeline, late: type[Late], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "most", 0)
    with pytest.raises(DeviceError, match="too little memory for one view; use --device cpu or a model with smaller"):
        CudaRunner(tiny, runtime(4), VIEW_PX, mode=None)


def test_a_shortage_of_memory_shows_before_anything_is_compiled(
    tiny: Pipeline, late: type[Late], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []

    def compile_it(forward: Forward, sample: Tensor, mode: str, report: object) -> Forward:
        shapes.append(tuple(sample.shape))
        return forward

    def forward(self: Pipeline, batch: Tensor, whole: Any = Pipeline.forward) -> Any:
        if len(batch) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, batch)

    monkeypatch.setattr(runner_cuda, "compiled", compile_it)
    monkeypatch.setattr(Pipeline, "forward", forward)
    assert CudaRunner(tiny, runtime(32), VIEW_PX).batch_size == 4
    assert shapes == [(4, 64, 64, 3)]


def test_networks_that_cannot_be_compiled_still_run(
    tiny: Pipeline, late: type[Late], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_triton(forward: Forward, **options: object) -> Forward:
        def fails(batch: Tensor) -> tuple[Tensor, ...]:
            raise RuntimeError("Cannot find a working triton installation.\nMore at https://triton")

        return fails

    monkeypatch.setattr(torch, "compile", no_triton)
    told: list[Event] = []
    runner = CudaRunner(tiny, runtime(4), VIEW_PX, report=told.append)
    assert runner.start(views(4))().logits.shape == (4, 2)
    (warning,) = told
    assert isinstance(warning, Warn)
    assert warning.message == (
        "PyTorch cannot compile the networks here; running uncompiled: "
        "RuntimeError: Cannot find a working triton installation. More at https://triton"
    )


def test_a_run_says_how_many_files_it_has_so_that_few_are_not_compiled_for(tiny_folder: Path, tmp_path: Path) -> None:
    told: list[int | None] = []

    def opened(*args: Any, **options: Any) -> Runner:
        told.append(options["files"])
        return open_runner(*args, **options)

    model, hooks = str(write_tiny_model(tmp_path / "tiny_model")), Hooks(open_runner=opened)
    classify(tiny_folder, out=tmp_path / "predictions.parquet", model=model, device="cpu", workers=0, hooks=hooks)
    assert told == [8]


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("fp16", 0.005)])
@pytest.mark.parametrize(
    ("segmenter", "stain_normalization"), [("none", "none"), ("threshold", "balanced"), ("unet", "scaled")]
)
def test_half_precision_gives_about_the_same(
    segmenter: str, stain_normalization: str, precision: str, tolerance: float, tmp_path: Path, late: type[Late]
) -> None:
    pipeline = tiny_pipeline(tmp_path, segmenter=segmenter, stain_normalization=stain_normalization)
    exact = TorchRunner(pipeline, runtime(4), want_mask=True).start(views(4))()
    found = CudaRunner(pipeline, runtime(4, precision), VIEW_PX, want_mask=True, mode=None).start(views(4))()
    scale = np.abs(exact.logits).max()
    np.testing.assert_allclose(found.logits / scale, exact.logits / scale, atol=tolerance)
    np.testing.assert_allclose(found.mask, exact.mask, atol=tolerance)
    if segmenter != "unet":  # nothing of these is in half precision
        assert np.array_equal(found.mask, exact.mask)


@pytest.mark.parametrize("head", heads.names())
def test_only_the_networks_are_in_half_precision(head: str, tmp_path: Path) -> None:
    made = reduce_precision(tiny_pipeline(tmp_path, segmenter="unet", head=head), torch.float16)
    halves = [module for module in made.modules() if isinstance(module, ReducedPrecision)]
    assert halves == [made.segmenter.network, made.classifier.backbone]
    inside = {id(tensor) for module in halves for tensor in module.state_dict(keep_vars=True).values()}
    for name, tensor in [*made.named_parameters(), *made.named_buffers()]:
        assert tensor.dtype == (torch.float16 if id(tensor) in inside else torch.float32), name
    weights = [m.weight for m in made.modules() if isinstance(m, nn.Conv2d)]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    with torch.inference_mode():
        assert made(views(1)).logits.dtype == torch.float32


def test_norms_that_cannot_be_folded_keep_their_statistics() -> None:
    norm = nn.BatchNorm2d(3)
    norm.running_var.fill_(1e-9)  # nothing, in fp16
    made = ReducedPrecision(nn.Sequential(norm).eval(), torch.float16)
    assert made.network[0].running_var.dtype == torch.float32
    assert float(made.network[0].running_var[0]) == pytest.approx(1e-9)


@pytest.mark.parametrize("stain_normalization", ["none", "scaled", "balanced"])
@pytest.mark.parametrize("segmenter", ["none", "threshold", "unet"])
def test_the_cascade_is_one_graph(segmenter: str, stain_normalization: str, tmp_path: Path) -> None:
    head = {"none": "linear", "threshold": "level_stats", "unet": "correlations"}[segmenter]
    made = reduce_precision(
        tiny_pipeline(tmp_path, segmenter=segmenter, head=head, stain_normalization=stain_normalization), torch.float32
    )
    graphs: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, inputs: object) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    forward = forward_of(made, want_mask=True)
    with torch.no_grad():
        found = torch.compile(forward, backend=keep, fullgraph=True, dynamic=False)(views(2))
        for ours, theirs in zip(found, forward(views(2)), strict=True):
            torch.testing.assert_close(ours, theirs, equal_nan=True)
    assert len(graphs) == 1
    # No number leaves the graph on the way: that would be a wait for the device.
    assert not [node for node in graphs[0].graph.nodes if node.target in ("item", "cpu", "numpy", "tolist")]


def test_running_out_of_memory_while_compiling_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(forward: Forward, **options: object) -> Forward:
        def fails(batch: Tensor) -> tuple[Tensor, ...]:
            try:
                raise torch.OutOfMemoryError("CUDA out of memory")
            except torch.OutOfMemoryError as error:
                raise RuntimeError("backend='inductor' raised") from error

        return fails

    monkeypatch.setattr(torch, "compile", full)
    with pytest.raises(RuntimeError, match="inductor"):
        compiled(lambda batch: (batch,), views(1), "default", pytest.fail)
