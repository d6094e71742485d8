"""The parts of `benchmarks/gpu.py` that need no GPU: steps, calculations, and sampling of the driver."""

from __future__ import annotations

import importlib
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.engine.bench.end_to_end import WholeRun
from cancernet_cli.engine.bench.synthetic_images import write_fields
from cancernet_cli.inference.runner import Outputs
from tests.tiny_model import write_tiny_model

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
RUN = WholeRun(
    files=1000,
    failed=0,
    wall_s=30.0,
    first_row_s=10.0,
    images_per_s=100.0,
    is_steady=True,
    main_core_s=1.0,
    workers_core_s=1.0,
    waiting_for_batches=0.0,
    waiting_for_answers=0.0,
    device_peak_bytes=None,
    table=Path("whole.parquet"),
)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark as a module; benchmarks import each other from their own folder, as scripts do."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("gpu")


@pytest.fixture
def setting(script: ModuleType, tmp_path: Path) -> Any:
    write_fields(tmp_path / "images", 4, 64, 48, "jpeg")
    options = ClassifyOptions(
        out=tmp_path / "whole.parquet", device="cpu", precision="fp32", runtime="torch", workers=0
    )
    return script.Setting(tmp_path / "images", options, (2,), 1)


def test_a_failed_step_is_recorded_and_the_next_one_starts(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: list[dict[str, Any]] = []
    steps = script.Steps(1000, lambda found: kept.append(dict(found)))

    def fails() -> dict[str, Any]:
        raise RuntimeError("no kernel image")

    steps("first", "network", fails)
    found = steps("second", "network", lambda: {"rate": 3})
    assert (steps.failed, found["rate"]) == (["first"], 3)
    assert [list(one) for one in kept] == [["first"], ["first", "second"]]
    assert kept[1]["first"]["failed"] == "RuntimeError: no kernel image"
    assert "no kernel image" in capsys.readouterr().err


def test_no_step_starts_that_might_exceed_the_limit(script: ModuleType) -> None:
    steps = script.Steps(importlib.import_module("gpu_steps").AT_LEAST_S["end to end"] - 1, lambda found: None)
    skipped = steps("whole", "end to end", lambda: pytest.fail("it must not begin"))
    assert skipped["skipped"].endswith("s of --limit-s left, but it may take 60 s")
    assert steps("short", "nvjpeg", lambda: {"rate": 1})["rate"] == 1


def test_all_steps_fit_into_the_time_limit(script: ModuleType) -> None:
    """The cascade and three networks, alone and from files."""
    needed = importlib.import_module("gpu_steps").AT_LEAST_S
    assert 4 * needed["network"] + needed["graphs"] + 4 * needed["end to end"] + needed["nvjpeg"] <= 560


def test_compiling_pays_off_once_it_has_saved_its_time(script: ModuleType) -> None:
    assert script.pays_from(60.0, 1000.0, 2000.0) == 120_000  # half a millisecond a file
    assert script.pays_from(60.0, 2000.0, 1000.0) is None


def test_the_steady_part_excludes_start_and_end(script: ModuleType) -> None:
    assert script.steady(RUN, started=5.0) == (15.0, pytest.approx(24.0))


@pytest.mark.parametrize(("error", "agrees"), [(0.0, True), (1.0, False), (np.nan, False)])
def test_logits_are_compared_with_the_cpu(
    script: ModuleType, setting: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: float, agrees: bool
) -> None:
    real = script.open_runner

    class Off:
        in_flight = 1

        def __init__(self, *args: Any, **options: Any) -> None:
            self.inner = real(*args, **options)

        def start(self, pixels: Tensor) -> Any:
            answer = self.inner.start(pixels)()
            logits = answer.logits + np.array([error, 0.0], np.float32)
            return lambda: Outputs(logits, answer.mask_fraction, answer.mask)

    monkeypatch.setattr(script, "open_runner", Off)
    found = script.against_cpu(setting, write_tiny_model(tmp_path / "tiny_model"), "fp32")
    assert found["agrees"] is agrees


def test_what_softmax_ignores_is_no_difference(script: ModuleType) -> None:
    theirs = np.array([[100.0, -100.0], [1.0, 3.0]])
    assert script.relative_error(theirs + 7.0, theirs) == pytest.approx(0.0, abs=1e-9)
    assert script.relative_error(theirs * 1.01, theirs) == pytest.approx(0.01)


def test_a_network_is_compared_with_its_target(
    script: ModuleType, setting: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cancernet_cli.engine.bench.limits.MEASURE_S", 0.05)
    monkeypatch.setattr("cancernet_cli.engine.bench.limits.MATRIX_SIDE", {"cpu": 256})
    model = write_tiny_model(tmp_path / "tiny_model", view="grid")
    found = script.network(setting, model, bar=1.0)
    assert found["is_met"]
    assert found["batch_size"] == 2
    assert found["arithmetic"]["flops_per_image"] > 0
    assert not script.network(setting, model, bar=1e9)["is_met"]
    assert "is_met" not in script.network(setting, model)


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
def test_the_decoder_of_the_device_is_compared_with_ours(script: ModuleType, setting: Any) -> None:
    found = script.nvjpeg(setting.images, "cpu", 3, repeat=1)
    assert found["batch_size"] == 3
    assert found["images_per_s"]["median"] > 1
    assert found["pixel_largest_difference"] <= 8  # two builds of libjpeg-turbo


def test_the_driver_is_sampled_while_a_block_runs(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" >&2\necho 96\necho "[N/A]"\necho 88\nexec sleep 60\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    watch_module = importlib.import_module("gpu_watch")
    monkeypatch.setattr(watch_module, "gpu_id", lambda device: "GPU-1")
    started = time.perf_counter()
    with watch_module.GpuWatch("cuda") as watch:
        while len(watch.samples) < 2 and time.perf_counter() - started < 20:
            time.sleep(0.01)
    ended = time.perf_counter()
    assert watch.between(started, ended) == {"mean_percent": 92.0, "least_percent": 88.0, "samples": 2}
    assert watch.between(ended + 1, ended + 2) is None
    with watch_module.GpuWatch("cpu") as none:
        pass
    assert none.samples == []


def test_without_a_device_the_message_suggests_the_cpu(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu.py"])
    with pytest.raises(SystemExit, match="--device cpu only checks that the script works"):
        script.main()


def test_settings_include_the_batch_size(setting: Any, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny_model")
    assert setting.job(model, 5).runtime.batch_size == 5
    assert replace(setting, batch_sizes=(1,)).job(model).runtime.batch_size == 8  # auto on a CPU
