"""Conclusions of `cancernet bench`: the bottleneck, the comparison with earlier records, saved settings."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cancernet_cli.core.cache import cache_root
from cancernet_cli.core.cards import Card, read_card
from cancernet_cli.core.options import ClassifyOptions, FinetuneOptions
from cancernet_cli.core.system import available_cores
from cancernet_cli.engine.bench.bottleneck import Bounds, verdict
from cancernet_cli.engine.bench.compare import compare
from cancernet_cli.engine.classify.job import prepare
from cancernet_cli.inference import advice as bench_advice
from cancernet_cli.inference.advice import NO_ADVICE, Advice, advice_for, keep_advice
from cancernet_cli.inference.runtime import resolve
from tests.tiny_model import write_tiny_model

GPU = Bounds(
    whole_per_s=900,
    decode_per_s=1000,
    model_per_s=9000,
    decode_core_s=0.008,
    model_core_s=0.0001,
    cores=16,
    workers=8,
    on_cpu=False,
)
CPU = Bounds(
    whole_per_s=16,
    decode_per_s=60,
    model_per_s=20,
    decode_core_s=0.016,
    model_core_s=0.1,
    cores=2,
    workers=1,
    on_cpu=True,
)


def test_a_starving_gpu_needs_workers() -> None:
    words = verdict(GPU)
    assert words.startswith(
        "Decoding is the bottleneck: 8 workers deliver 1,000 images/s, the networks could process 9,000"
    )
    assert words.endswith("use --workers 16, or JPEG files.")
    assert verdict(replace(GPU, image_format="jpeg", workers=16)).endswith("use smaller files or more cores.")


def test_a_busy_gpu_needs_less_work() -> None:
    words = verdict(replace(GPU, model_per_s=950, decode_per_s=4000))
    assert words.startswith(
        "The networks are the bottleneck: they process 950 images/s, 8 workers deliver 4,000 images/s"
    )
    assert verdict(replace(GPU, model_per_s=950, decode_per_s=4000, faster_precision="fp16")).endswith(
        "try --precision fp16, or a smaller network."
    )


def test_cores_that_loader_and_networks_share() -> None:
    # 2 cores / (0.016 + 0.1) s = 17.2 images/s are possible; networks take 0.1 of 0.116 s
    assert CPU.possible_per_s == pytest.approx(17.24, abs=0.01)
    words = verdict(replace(CPU, faster_precision="int8"))
    assert words.startswith("All 2 cores are busy: the networks use 86 % of the CPU time, reading and decoding 14 %")
    assert words.endswith("try --precision int8, or a smaller network.")
    light = replace(CPU, whole_per_s=60, model_per_s=400, model_core_s=0.005, decode_per_s=90, cores=1)
    assert verdict(replace(light, whole_per_s=47)).startswith(
        "The one core is busy: the networks use 24 % of the CPU time"
    )
    assert "use JPEG files" in verdict(replace(light, whole_per_s=47))


def test_idle_cores_need_workers_on_a_cpu_too() -> None:
    # 16 cores, one worker: 60 images/s decoded while networks could take 300
    words = verdict(replace(CPU, cores=16, model_per_s=150, whole_per_s=58))
    assert "1 worker delivers 60 images/s" in words
    assert "use --workers 2" in words


def test_time_lost_between_the_parts_is_reported() -> None:
    words = verdict(replace(GPU, whole_per_s=400, model_per_s=1000, decode_per_s=2000))
    assert words.startswith(
        "Neither the loader nor the networks are the bottleneck: the run reaches 40 % of the 1,000 images/s"
    )
    assert "use --workers 1" in verdict(replace(GPU, whole_per_s=100, model_per_s=190, decode_per_s=200, workers=0))


def test_a_disturbed_measurement_gives_no_advice() -> None:
    assert verdict(replace(CPU, whole_per_s=30)).startswith("The machine was busy")


def measurement() -> dict[str, Any]:
    def spread(value: float) -> dict[str, float]:
        return {"median": value, "min": value, "max": value}

    return {
        "call": {"date": "2026-01-01"},
        "machine": {"processor": "A", "cores": 2, "gpu": None, "load": 0.1},
        "versions": {"torch": "2.6"},
        "settings": {"model": "m", "batch_size": 8},
        "stages": [{"name": "decode", "ms": spread(8.0)}, {"name": "combine", "ms": None}],
        "whole": {"images_per_s": spread(20.0)},
        "limits": {
            "model_only": {"images_per_s": spread(25.0)},
            "decode_only": {"images_per_s": spread(100.0)},
        },
    }


def test_changes_in_percent_and_other_differences() -> None:
    old, new = measurement(), copy.deepcopy(measurement())
    assert compare(new, old)["differs"] == []
    new["stages"][0]["ms"]["median"] = 6.0
    new["whole"]["images_per_s"]["median"] = 30.0
    new["machine"] |= {"processor": "B", "load": 5.0}
    new["versions"] = {"torch": "2.7", "openvino": "2025.1"}
    found = compare(new, old)
    assert found["stages"] == {"decode": {"old": 8.0, "new": 6.0, "change_percent": -25.0}}
    assert found["rates"]["end to end"]["change_percent"] == 50.0
    assert found["differs"] == [
        "machine: processor was A, is B",
        "versions: openvino was None, is 2025.1",
        "versions: torch was 2.6, is 2.7",
    ]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CANCERNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return read_card(write_tiny_model(tmp_path / "tiny"))


CPU_DEVICE = torch.device("cpu")
ASKED = ClassifyOptions(device="cpu")


def test_auto_uses_measured_settings_and_flags_win(own_cache: Path, card: Card, tmp_path: Path) -> None:
    plain = resolve(ASKED, card)
    path = keep_advice(Advice(batch_size=3, workers=0, precision="bf16"), card, CPU_DEVICE, available_cores())
    assert path.is_relative_to(cache_root())
    advised = prepare(str(tmp_path), replace(ASKED, model=str(tmp_path / "tiny")))
    assert (advised.runtime.batch_size, advised.runtime.workers, advised.runtime.precision) == (3, 0, "bf16")
    assert advised.state["precision"] == "bf16"  # what the rows depend on is resolved
    asked = resolve(replace(ASKED, batch_size=5, workers=1, precision="fp32"), card)
    assert (asked.batch_size, asked.workers, asked.precision) == (5, 1, "fp32")
    assert resolve(ASKED) == plain
    assert resolve(FinetuneOptions(device="cpu"), card) == plain


def test_advice_is_for_one_model_machine_version_and_runtime(
    own_cache: Path, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_advice(Advice(batch_size=3), card, CPU_DEVICE, 2)
    keep_advice(Advice(workers=1), card, CPU_DEVICE, 2)  # what was found before stays
    assert advice_for(ASKED, card, CPU_DEVICE, 2) == Advice(batch_size=3, workers=1)
    assert advice_for(ASKED, card, CPU_DEVICE, 4) == NO_ADVICE
    assert advice_for(replace(ASKED, runtime="torch"), card, CPU_DEVICE, 2) == NO_ADVICE
    other = replace(card, segmentation=replace(card.segmentation, segmenter="none"))
    assert advice_for(ASKED, other, CPU_DEVICE, 2) == NO_ADVICE
    monkeypatch.setattr(bench_advice, "__version__", "9")
    assert advice_for(ASKED, card, CPU_DEVICE, 2) == NO_ADVICE


def test_damaged_advice_is_ignored(own_cache: Path, card: Card) -> None:
    path = keep_advice(Advice(precision="int8", batch_size=0), card, CPU_DEVICE, 2)
    assert advice_for(ASKED, card, CPU_DEVICE, 2) == NO_ADVICE  # never int8, never a size that cannot be
    path.write_text("{")
    assert advice_for(ASKED, card, CPU_DEVICE, 2) == NO_ADVICE
    path.write_text("[]")
    assert keep_advice(Advice(workers=2), card, CPU_DEVICE, 2) == path
    assert advice_for(ASKED, card, CPU_DEVICE, 2) == Advice(workers=2)
