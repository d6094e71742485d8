"""Rates, latencies and operations, tested on known cases."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from cancernet_cli.core.cards import read_card
from cancernet_cli.data.loading.images import BatchDecoder
from cancernet_cli.engine.bench import limits
from cancernet_cli.engine.bench.limits import batch_latencies, decode_only, flops_per_view, latency_ms, model_only
from cancernet_cli.engine.bench.sample import find_images
from cancernet_cli.engine.bench.synthetic_images import write_fields
from cancernet_cli.inference.pipeline import Pipeline
from cancernet_cli.segmentation import segmenters
from tests.bench_runs import BATCH_S, SlowRunner
from tests.tiny_model import write_tiny_model


def test_flops_are_counted_as_by_hand(tmp_path: Path) -> None:
    card = read_card(write_tiny_model(tmp_path / "tiny"))
    classifier = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    pipeline = Pipeline(card, segmenters["none"].factory(None), classifier)
    # A multiply-add is two: 3 x 3 x 3 for each of 8 channels of 64 x 64 pixels, then 8 x 2.
    by_hand = 2 * (27 * 8 * 64 * 64 + 8 * 2)
    assert flops_per_view(pipeline, torch.zeros((1, 64, 64, 3), dtype=torch.uint8)) == by_hand


def test_percentiles_of_latency() -> None:
    found = latency_ms([i / 1000 for i in range(101)])
    assert found == {"p50": pytest.approx(50), "p95": pytest.approx(95), "batches": 101}


def test_networks_alone_are_as_fast_as_their_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEASURE_S", 0.1)
    monkeypatch.setattr(limits, "LATENCY_S", 0.1)
    pixels = torch.zeros((4, 8, 8, 3), dtype=torch.uint8)
    runner = SlowRunner()
    found = model_only(runner, pixels, repeat=2)
    assert (runner.most, runner.under_way) == (2, 0)  # as in the loop of a run: one more than `in_flight`
    assert 0.05 * 4 / BATCH_S < found.views_per_s.median <= 4 / BATCH_S
    assert found.core_s_per_view < BATCH_S / 4
    assert min(batch_latencies(SlowRunner(), pixels)) >= BATCH_S


def test_the_loader_alone_decodes_every_file(tmp_path: Path) -> None:
    card = read_card(write_tiny_model(tmp_path / "tiny"))
    write_fields(tmp_path / "images", 5, 64, 48, "png")
    files = find_images(tmp_path / "images", card)
    decoder = BatchDecoder(card.input, 10_000)
    found = decode_only(files, decoder, files_per_batch=1, workers=0, pin_memory=False, repeat=1)
    assert 1 < found.images_per_s.median < 100_000
    assert 0 <= found.core_s_per_image < 1
