"""OpenVINO agrees with PyTorch, from a conversion that is cached."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from cancernet_cli import classify
from cancernet_cli.core.cards import SegmentationPolicy, read_card, with_segmenter
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.events import Event, Note, Warn
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.inference.open import open_runner
from cancernet_cli.inference.openvino_import import ov
from cancernet_cli.inference.openvino_model import FILE
from cancernet_cli.inference.pipeline import load_pipeline
from cancernet_cli.inference.runtime import resolve, with_library
from cancernet_cli.inference.torch_runner import TorchRunner
from tests.he_images import he_like
from tests.tiny_model import write_tiny_model, write_tiny_unet

BUNDLED = Path(__file__).resolve().parents[2] / "models" / "breakhis_lite0"


@pytest.fixture
def views() -> torch.Tensor:
    return torch.from_numpy(np.stack([he_like(seed, 352, 224) for seed in range(5)]))


@pytest.mark.parametrize("segmenter", ["unet", "none"])
def test_agrees_with_pytorch(segmenter: str, views: torch.Tensor) -> None:
    card = with_segmenter(read_card(BUNDLED), segmenter)
    runtime = with_library(resolve(ClassifyOptions(device="cpu")), "auto", card)
    assert runtime.library == "openvino"
    ours = open_runner(BUNDLED, card, runtime, want_mask=True).start(views)()
    reference = TorchRunner(load_pipeline(BUNDLED, card), runtime, want_mask=True).start(views)()
    np.testing.assert_allclose(ours.logits, reference.logits, atol=1e-4)
    np.testing.assert_allclose(ours.mask_fraction, reference.mask_fraction, atol=1e-5)
    assert ours.mask is not None
    np.testing.assert_allclose(ours.mask, reference.mask, atol=1e-4)


@pytest.mark.parametrize("want_mask", [False, True])
def test_novelty_agrees_with_pytorch(want_mask: bool, views: torch.Tensor, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model", segmenter="none", rank=3)
    card = read_card(model)
    runtime = with_library(resolve(ClassifyOptions(device="cpu")), "openvino", card)
    small = views[:, :64, :64].contiguous()
    ours = open_runner(model, card, runtime, want_mask=want_mask).start(small)()
    reference = TorchRunner(load_pipeline(model, card), runtime, want_mask=want_mask).start(small)()
    assert ours.novelty is not None
    assert reference.novelty is not None
    assert reference.novelty.std() > 0
    np.testing.assert_allclose(ours.novelty, reference.novelty, rtol=1e-3)
    assert (ours.mask is not None) == want_mask


def test_a_model_without_numbers_for_it_has_no_novelty(views: torch.Tensor, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model", segmenter="none")
    card = read_card(model)
    runtime = with_library(resolve(ClassifyOptions(device="cpu")), "openvino", card)
    novelty = open_runner(model, card, runtime).start(views[:2, :64, :64].contiguous())().novelty
    assert novelty is not None
    assert np.isnan(novelty).all()


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.75, 0.4])
def test_a_unet_works_at_any_scale(scale: float, views: torch.Tensor, tmp_path: Path) -> None:
    """PyTorch's antialiased interpolation could not be converted."""
    unet = read_card(write_tiny_unet(tmp_path / "unet", seed=round(100 * scale), scale=scale))
    model = write_tiny_model(tmp_path / "model")
    policy = SegmentationPolicy(segmenter="unet", model="unet", sha256=unet.weights.sha256, background_weight=0.5)
    card = replace(read_card(model), segmentation=policy)
    runtime = with_library(resolve(ClassifyOptions(device="cpu")), "openvino", card)
    small = views[:, :64, :64].contiguous()
    ours = open_runner(model, card, runtime, want_mask=True).start(small)()
    reference = TorchRunner(load_pipeline(model, card), runtime, want_mask=True).start(small)()
    assert ours.mask is not None
    np.testing.assert_allclose(ours.mask, reference.mask, atol=1e-4)


def test_a_view_is_bit_identical_in_every_batch(views: torch.Tensor) -> None:
    card = read_card(BUNDLED)
    runner = open_runner(BUNDLED, card, with_library(resolve(ClassifyOptions(device="cpu")), "openvino", card))
    together = runner.start(views)
    alone = [runner.start(views[row : row + 1]) for row in range(len(views))]
    answer = together()
    assert answer.mask is None
    for row, wait in enumerate(alone):
        one = wait()
        assert (one.logits[0] == answer.logits[row]).all()
        assert one.mask_fraction[0] == answer.mask_fraction[row]
    assert runner.start(views[:0])().logits.shape == (0, 2)


def test_a_conversion_is_cached_and_made_again_when_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, views: torch.Tensor
) -> None:
    """A network whose logits have been multiplied by -3 is as valid as the one it replaced."""
    monkeypatch.setenv("CANCERNET_CACHE", str(tmp_path / "cache"))
    told: list[Event] = []
    model = write_tiny_model(tmp_path / "model", segmenter="none")
    card = read_card(model)
    runtime = with_library(resolve(ClassifyOptions(device="cpu")), "openvino", card)

    def logits() -> np.ndarray:
        told.clear()
        return open_runner(model, card, runtime, report=told.append).start(views[:, :64, :64].contiguous())().logits

    first = logits()
    assert [type(event) for event in told] == [Note]
    assert (logits() == first).all()
    assert told == []
    (kept,) = (tmp_path / "cache" / "openvino").glob(f"*/{FILE}")
    turned = ov.Core().read_model(kept)
    results = turned.get_results()
    outputs = [result.input_value(0) for result in results]
    outputs[0] = ov.opset13.multiply(outputs[0], np.float32(-3)).output(0)
    ov.save_model(ov.Model(outputs, turned.get_parameters()), tmp_path / FILE, compress_to_fp16=False)
    for suffix in (".xml", ".bin"):
        (tmp_path / FILE).with_suffix(suffix).replace(kept.with_suffix(suffix))
    assert (logits() == first).all()
    assert [type(event) for event in told] == [Warn, Note]


def test_segmenters_that_openvino_cannot_run_keep_pytorch() -> None:
    card = with_segmenter(read_card(BUNDLED), "watershed")
    runtime = resolve(ClassifyOptions(device="cpu"))
    assert with_library(runtime, "auto", card).library == "torch"
    with pytest.raises(OptionError, match="watershed"):
        with_library(runtime, "openvino", card)
    with pytest.raises(OptionError, match="int8"):
        with_library(resolve(ClassifyOptions(device="cpu", precision="int8")), "auto", card)


def test_tables_of_both_runtimes_agree_and_record_the_runtime(tmp_path: Path, tiny_folder: Path) -> None:
    tables = {}
    for runtime in ("openvino", "torch"):
        found = classify(tiny_folder, out=tmp_path / f"{runtime}.parquet", runtime=runtime, device="cpu")
        tables[runtime] = pq.read_table(found.out)
        assert tables[runtime].schema.metadata[b"cancernet.runtime"] == runtime.encode()
    ours, reference = (tables[name]["prob_malignant"].to_numpy() for name in ("openvino", "torch"))
    np.testing.assert_allclose(ours, reference, atol=1e-4)


@pytest.mark.slow
def test_with_a_warm_cache_no_network_library_is_imported(tmp_path: Path, tiny_folder: Path) -> None:
    classify(tiny_folder, out=tmp_path / "first.parquet", device="cpu", labels="none")
    code = (
        "import sys; from cancernet_cli import classify; "
        f"classify({str(tiny_folder)!r}, out={str(tmp_path / 'second.parquet')!r}, device='cpu', labels='none'); "
        "print([n for n in ('timm', 'torchvision', 'segmentation_models_pytorch', 'sklearn') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


ERROR_WHILE_IT_WORKS = """
import sys, torch
from cancernet_cli.core.cards import read_card
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.inference.open import open_runner
from cancernet_cli.inference.runtime import resolve, with_library
from pathlib import Path

folder = Path(sys.argv[1])
card = read_card(folder)
runner = open_runner(folder, card, with_library(resolve(ClassifyOptions(device="cpu")), "openvino", card))
wait = runner.start(torch.zeros((200, 64, 64, 3), dtype=torch.uint8))
sys.exit(6)
"""


def test_an_error_while_requests_run_keeps_its_exit_code(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model", segmenter="none")
    command = [sys.executable, "-c", ERROR_WHILE_IT_WORKS, str(model)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert (found.returncode, found.stderr) == (6, "")
