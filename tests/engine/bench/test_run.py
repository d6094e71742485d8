"""`engine.bench.run`: the contents of a record, and the consistency of its values."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from cancernet_cli.core.errors import InputError, ModelError, OptionError
from cancernet_cli.core.events import Event, StageAdvanced, StageFinished, StageStarted
from cancernet_cli.core.options import BenchOptions, ClassifyOptions, InferenceOptions
from cancernet_cli.engine.bench.run import bench, classify_options
from cancernet_cli.engine.bench.stages import STAGES
from tests.bench_runs import make_quick, tiny_options
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", view="grid")


@pytest.fixture(scope="module")
def measured(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[Event], Path]:
    """A record with every output and two sweeps, its events, and the folder of its files."""
    folder = tmp_path_factory.mktemp("bench")
    events: list[Event] = []
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        asked = tiny_options(
            model, json=folder / "b.json", plot=folder / "b.png", sweep_batch_size="1,4", sweep_precision="fp32,fp16"
        )
        return bench(asked, events.append), events, folder


def test_all_stages_are_in_order_and_shares_add_up(measured: tuple[dict[str, Any], list[Event], Path]) -> None:
    stages = measured[0]["stages"]
    assert [stage["name"] for stage in stages] == list(STAGES)
    assert all(stage["ms"]["min"] <= stage["ms"]["median"] <= stage["ms"]["max"] for stage in stages)
    assert sum(stage["share"] for stage in stages) == pytest.approx(1)
    views = measured[0]["settings"]["views_per_image"]
    by_name = {stage["name"]: stage for stage in stages}
    # 160 x 120 in views of 64 with an overlap of 16: (160 - 16) / 48 = 3 by (120 - 16) / 48 = 2.2, so 3
    assert views == 9
    assert by_name["classify"]["ms"]["median"] == pytest.approx(9 * by_name["classify"]["ms_per_view"])
    assert by_name["decode"]["ms_per_view"] is None


def test_rates_limits_and_utilisation_are_consistent(measured: tuple[dict[str, Any], list[Event], Path]) -> None:
    found = measured[0]
    whole = found["whole"]["images_per_s"]["median"]
    model_rate = found["limits"]["model_only"]["images_per_s"]["median"]
    assert found["limits"]["model_only"]["views_per_s"]["median"] == pytest.approx(9 * model_rate)
    assert found["busy"]["device"] == pytest.approx(whole / model_rate)
    arithmetic = found["limits"]["arithmetic"]
    bound = arithmetic["matrix_flops_per_s"] / (9 * arithmetic["flops_per_view"])
    assert arithmetic["images_per_s"] == pytest.approx(bound)
    assert arithmetic["reached_by_networks"] == pytest.approx(model_rate / bound)
    assert found["latency_ms"]["p50"] <= found["latency_ms"]["p95"]
    assert found["verdict"].endswith(".")


def test_settings_are_resolved(measured: tuple[dict[str, Any], list[Event], Path]) -> None:
    settings = measured[0]["settings"]
    assert settings["precision"] == "fp32"
    assert settings["runtime"] == "torch"
    assert (settings["batch_size"], settings["workers"], settings["files"]) == (2, 0, 6)
    assert settings["images"] == "generated 160x120 png"


def test_sweeps_have_one_row_per_value_with_errors(measured: tuple[dict[str, Any], list[Event], Path]) -> None:
    sweeps = measured[0]["sweeps"]
    assert [row["batch_size"] for row in sweeps["batch_size"]] == [1, 4]
    fp32, fp16 = sweeps["precision"]
    assert fp32["probability_difference"] == 0
    assert fp16["error"] == "fp16 is not supported on CPU"
    advice = measured[0]["advice"]
    assert advice["precision"] == "fp32"
    assert advice["kept_in"] is None  # --runtime torch: not what auto would take


def test_files_are_written_and_every_progress_stage_finishes(
    measured: tuple[dict[str, Any], list[Event], Path],
) -> None:
    found, events, folder = measured
    assert json.loads((folder / "b.json").read_text("utf-8")) == found
    assert (folder / "b.png").read_bytes().startswith(b"\x89PNG")
    for started in [event for event in events if isinstance(event, StageStarted)]:
        done = sum(e.done for e in events if isinstance(e, StageAdvanced) and e.stage == started.stage)
        assert done == started.total or "sweep precision" in started.stage  # a value that failed was not run
        assert StageFinished(started.stage) in events


def test_a_folder_with_a_bad_image_is_compared_with_an_earlier_record(
    model: Path,
    measured: tuple[dict[str, Any], list[Event], Path],
    tiny_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_quick(monkeypatch)
    (tiny_folder / "benign" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tiny_folder / "slide.svs").write_bytes(b"slides are not measured")
    found = bench(tiny_options(model, input=tiny_folder, compare=measured[2] / "b.json"))
    assert found["whole"]["failed"] == 1
    assert found["settings"]["files"] == 9
    assert f"settings: images was generated 160x120 png, is {tiny_folder}" in found["comparison"]["differs"]
    assert found["comparison"]["stages"].keys() == set(STAGES)


def test_a_backbone_gets_random_weights_and_a_segmenter(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)
    found = bench(tiny_options(Path(), backbone="test_efficientnet", segmenter="threshold"))
    assert found["settings"]["model"] == "test_efficientnet (random weights)"
    assert found["settings"]["segmenter"] == "threshold"
    assert found["settings"]["view"] == "resize 224x224"
    with pytest.raises(ModelError):
        bench(tiny_options(Path(), backbone="no_such_network"))


def test_errors_come_before_any_measurement(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cancernet bench --json"):
        bench(tiny_options(model, compare=tmp_path / "none.json"))
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(InputError, match="is not a `cancernet bench` record"):
        bench(tiny_options(model, compare=other))
    with pytest.raises(ModelError):
        bench(tiny_options(tmp_path / "none"))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"size": "700"}, "--size is '700'"),
        ({"size": "8x8"}, "--size"),
        ({"sweep_batch_size": "0,1"}, "--sweep-batch-size has '0'"),
        ({"sweep_workers": "two"}, "--sweep-workers has 'two'"),
        ({"sweep_precision": "fp8"}, "--sweep-precision has 'fp8'"),
    ],
)
def test_wrong_options_name_their_flag(option: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        BenchOptions(**option)
    assert BenchOptions(sweep_workers=" 0, 2,2").worker_counts == (0, 2)


def test_every_option_shared_with_classify_is_declared_once_and_forwarded(tmp_path: Path) -> None:
    shared = {
        "device": "cpu",
        "precision": "bf16",
        "batch_size": 3,
        "workers": 1,
        "model": "breakhis_unet",
        "segmenter": "threshold",
        "runtime": "torch",
        "jpeg_scale": "auto",
    }
    assert shared.keys() == {field.name for field in fields(InferenceOptions)}
    asked = classify_options(BenchOptions(**shared), tmp_path)
    assert {name: getattr(asked, name) for name in shared} == shared
    assert not vars(BenchOptions)["__annotations__"].keys() & {field.name for field in fields(ClassifyOptions)}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device found")
def test_on_cuda_memory_and_transfers_are_measured(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)
    found = bench(tiny_options(model, device="cuda", runtime="auto", segmenter="none", files=12))
    assert found["whole"]["device_peak_bytes"] > 0
    assert found["whole"]["wall_over_apart"] is None  # loader and networks share no cores
    by_name = {stage["name"]: stage for stage in found["stages"]}
    assert by_name["host_to_device"]["ms"]["median"] > 0
    assert found["limits"]["arithmetic"]["images_per_s"] > 0


@pytest.mark.slow
def test_the_command_is_measured_as_a_process(model: Path) -> None:
    found = bench(tiny_options(model, cold=True))
    process = found["process"]
    assert process["wall_s"] > 0.5  # PyTorch alone takes longer to load
    assert process["core_s"] > 0.5
    assert 100e6 < process["peak_tree_bytes"] < 3e9
    assert 100e6 < process["peak_main_bytes"] < 3e9
    assert process["cold_start_s"] > 0.5
