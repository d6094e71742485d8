"""The sentence about the bottleneck."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cancernet_cli.engine.bench.bottleneck import Bounds, verdict

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
