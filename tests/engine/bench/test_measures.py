"""The clocks, counters and wrappers of `cancernet bench`, held to cases that are known."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cancernet_cli.core.cards import read_card
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import silent
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.data.loading.images import BatchDecoder
from cancernet_cli.data.readers import read_image
from cancernet_cli.engine.bench import limits
from cancernet_cli.engine.bench.breakdown import stage_costs
from cancernet_cli.engine.bench.end_to_end import whole_run
from cancernet_cli.engine.bench.limits import (
    ModelOnly,
    batch_latencies,
    decode_only,
    flops_per_view,
    latency_ms,
    model_only,
)
from cancernet_cli.engine.bench.sample import found_files, take_sample
from cancernet_cli.engine.bench.stages import as_pixels, file_stages, normalised, scaled
from cancernet_cli.engine.bench.sweep import best, probability_difference
from cancernet_cli.engine.bench.synthetic_images import DIFFERENT, field, write_fields
from cancernet_cli.engine.bench.timing import Cost, Spread, costs
from cancernet_cli.engine.classify.job import prepare
from cancernet_cli.inference.pipeline import Pipeline, load_pipeline
from cancernet_cli.inference.runner import Answer
from cancernet_cli.segmentation import combine, segmenters
from tests.tiny_model import write_tiny_model

BATCH_S = 0.02


class SlowRunner:
    """Takes its time over every batch, one after the other; `most` is how many were under way at once."""

    in_flight = 1

    def __init__(self) -> None:
        self.under_way = self.most = 0

    def start(self, pixels: Tensor) -> Callable[[], Answer]:
        time.sleep(BATCH_S)
        self.under_way += 1
        self.most = max(self.most, self.under_way)

        def wait() -> Answer:
            self.under_way -= 1
            return Answer(np.zeros((len(pixels), 2), np.float32), np.ones(len(pixels), np.float32), None)

        return wait


@pytest.mark.parametrize("image_format", ["png", "jpeg", "tiff"])
def test_generated_files_are_readable_and_the_same_again(tmp_path: Path, image_format: str) -> None:
    first = write_fields(tmp_path / "a", 2, 90, 60, image_format)
    again = write_fields(tmp_path / "b", 2, 90, 60, image_format)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    assert first[0].read_bytes() != first[1].read_bytes()
    image = read_image(bytes(first[0]), max_pixels=10_000)
    assert image.shape == (60, 90, 3)
    if image_format != "jpeg":
        assert np.array_equal(image, field(0, 90, 60))


def test_many_files_are_few_pictures(tmp_path: Path) -> None:
    paths = write_fields(tmp_path, DIFFERENT + 2, 32, 24, "png")
    assert len(paths) == len(list(tmp_path.iterdir())) == DIFFERENT + 2
    assert paths[-1].read_bytes() == paths[1].read_bytes()


def test_a_generated_png_is_as_hard_to_decode_as_breakhis(tmp_path: Path) -> None:
    """BreakHis' files of 700 x 460 pixels have 580 kB on average."""
    (path,) = write_fields(tmp_path, 1, 700, 460, "png")
    assert 450_000 < path.stat().st_size < 700_000


def test_spreads_and_costs() -> None:
    assert Spread.of([3.0, 1.0, 2.0], 10) == Spread(median=20, min=10, max=30)
    assert Cost(3, 1).less(Cost(1, 2)) == Cost(2, 0)
    for found in costs(lambda: time.sleep(0.01), 2):
        assert 0.01 <= found.wall_s < 1
        assert found.core_s < found.wall_s  # who sleeps takes no processor time


def test_stages_put_together_are_the_pipeline(tmp_path: Path) -> None:
    """What is timed apart does the same work as what a run does."""
    folder = write_tiny_model(tmp_path / "tiny")
    card = read_card(folder)
    card = replace(card, input=replace(card.input, density="balanced"))
    pipeline = load_pipeline(folder, card)
    views = torch.from_numpy(np.stack([field(seed, 64, 64) for seed in range(3)]))
    with torch.no_grad():
        pixels = as_pixels(views)
        mask = pipeline.segmenter(pixels)
        logits = pipeline.classifier(normalised(pipeline, combine(scaled(pipeline, pixels), mask, pipeline.keep)))
        torch.testing.assert_close(logits, pipeline(views).logits)


def test_what_a_runner_merges_is_shared_out(tmp_path: Path) -> None:
    """The stages of a runner that is no plain PyTorch add up to what it takes for a view."""
    folder = write_tiny_model(tmp_path / "tiny", segmenter="none")
    write_fields(tmp_path / "images", 2, 64, 64, "png")
    job = prepare(str(tmp_path / "images"), ClassifyOptions(model=str(folder), device="cpu", runtime="torch"))
    sample = take_sample(found_files(tmp_path / "images", job.card), job.card, batch_size=2, max_pixels=10_000)
    model = ModelOnly(Spread(100.0, 80.0, 125.0), core_s_per_view=0.016)
    found, words = stage_costs(job, SlowRunner(), load_pipeline(folder, job.card), model, sample, 1)
    merged = ("normalise", "segment", "combine", "classify")
    assert sum(found[name][1].wall_s for name in merged) == pytest.approx(1 / 100)
    assert sum(found[name][0].core_s for name in merged) == pytest.approx(0.016)
    assert words.startswith("the compiled networks as a whole")


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


def test_networks_alone_are_as_quick_as_their_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEASURE_S", 0.1)
    monkeypatch.setattr(limits, "LATENCY_S", 0.1)
    pixels = torch.zeros((4, 8, 8, 3), dtype=torch.uint8)
    runner = SlowRunner()
    found = model_only(runner, pixels, repeat=2)
    assert (runner.most, runner.under_way) == (2, 0)  # as in a run's loop: one more than may be in flight
    assert 0.05 * 4 / BATCH_S < found.views_per_s.median <= 4 / BATCH_S
    assert found.core_s_per_view < BATCH_S / 4
    assert min(batch_latencies(SlowRunner(), pixels)) >= BATCH_S


def test_the_loader_alone_decodes_every_file(tmp_path: Path) -> None:
    card = read_card(write_tiny_model(tmp_path / "tiny"))
    write_fields(tmp_path / "images", 5, 64, 48, "png")
    files = found_files(tmp_path / "images", card)
    decoder = BatchDecoder(card.input, 10_000)
    found = decode_only(files, decoder, files_a_batch=1, workers=0, pin_memory=False, repeat=1)
    assert 1 < found.images_per_s.median < 100_000
    assert 0 <= found.core_s_per_image < 1


def test_a_sample_leaves_bad_files_out_and_fills_a_batch(tmp_path: Path) -> None:
    card = read_card(write_tiny_model(tmp_path / "tiny"))
    folder = tmp_path / "images"
    write_fields(folder, 3, 64, 48, "png")
    (folder / "bad.png").write_bytes(b"no image")
    sample = take_sample(found_files(folder, card), card, batch_size=5, max_pixels=10_000)
    assert len(sample.files) == 3
    assert sample.pixels.shape == (5, 64, 64, 3)
    assert torch.equal(sample.pixels[3], sample.pixels[0])
    stages = file_stages(sample, card, max_pixels=10_000, repeat=2)
    assert all(len(each) == 2 for each in stages.values())
    for path in folder.glob("0*.png"):
        path.unlink()
    with pytest.raises(InputError, match="not one image could be read"):
        take_sample(found_files(folder, card), card, batch_size=5, max_pixels=10_000)


def test_a_watched_run_writes_the_same_table_and_tells_what_it_waited_for(tiny_folder: Path, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny")
    options = ClassifyOptions(
        model=str(model), out=tmp_path / "t.parquet", labels="none", batch_size=2, workers=0, device="cpu"
    )
    run = whole_run(tiny_folder, options, silent)
    assert (run.files, run.failed) == (8, 0)
    assert pq.read_table(run.table).num_rows == 8
    assert 0 < run.first_row_s < run.wall_s
    assert run.main_core_s > 0
    assert 0 < run.waiting_for_batches < 1  # with no workers, decoding itself
    assert 0 < run.waiting_for_answers < 1
    assert run.waiting_for_batches + run.waiting_for_answers < 1
    again = whole_run(tiny_folder, options, silent)  # nothing is reused
    assert again.files == 8
    assert pq.read_table(again.table).equals(pq.read_table(run.table))


def write_probs(path: Path, names: list[str], probs: list[float | None]) -> Path:
    pq.write_table(pa.table({"path": names, "prob_malignant": pa.array(probs, pa.float32())}), path)
    return path


def test_the_largest_difference_of_probabilities(tmp_path: Path) -> None:
    one = write_probs(tmp_path / "1.parquet", ["a", "b", "c"], [0.5, 0.25, None])
    two = write_probs(tmp_path / "2.parquet", ["b", "a", "c"], [0.375, 0.5, None])
    assert probability_difference(one, two) == 0.125
    failed = write_probs(tmp_path / "3.parquet", ["a", "b", "c"], [0.5, None, None])
    assert probability_difference(one, failed) is None
    assert probability_difference(one, write_probs(tmp_path / "4.parquet", ["a"], [0.5])) is None


def row(name: str, value: object, rate: float, **more: object) -> dict[str, object]:
    return {name: value, "images_per_s": {"median": rate, "min": rate, "max": rate}, "is_steady": True, **more}


def test_the_cheapest_that_is_nearly_the_best() -> None:
    rows = [row("batch_size", 64, 100), row("batch_size", 16, 98), row("batch_size", 1, 50)]
    assert best("batch_size", [*rows, {"batch_size": 256, "error": "too large"}]) == 16
    assert best("workers", [{"workers": 1, "error": "no"}]) is None


def test_no_precision_is_advised_that_changes_probabilities() -> None:
    rows = [
        row("precision", "fp32", 10, probability_difference=0.0),
        row("precision", "bf16", 20, probability_difference=2e-3),
        row("precision", "fp16", 15, probability_difference=5e-4),
        row("precision", "int8", 90, probability_difference=0.0),
    ]
    assert best("precision", rows) == "fp16"
    assert best("precision", [rows[0], rows[1], rows[3]]) == "fp32"
    assert best("precision", [row("precision", "bf16", 20, probability_difference=None)]) is None


def test_images_below_a_folder_are_needed(tmp_path: Path) -> None:
    card = read_card(write_tiny_model(tmp_path / "tiny"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image was found"):
        found_files(tmp_path / "empty", card)
    Image.fromarray(field(0, 32, 32)).save(tmp_path / "empty" / "one.png")
    assert [file.path for file in found_files(tmp_path / "empty", card)] == ["one.png"]


def test_shrunk_jpegs_cost_less_to_decode(tmp_path: Path) -> None:
    card = read_card(write_tiny_model(tmp_path / "tiny"))  # looks at 64 x 64 pixels
    write_fields(tmp_path / "images", 2, 1024, 768, "jpeg")
    sample = take_sample(found_files(tmp_path / "images", card), card, batch_size=2, max_pixels=10**6)
    core_s = {
        shrink: min(
            one.core_s for one in file_stages(sample, card, max_pixels=10**6, shrink=shrink, repeat=5)["decode"]
        )
        for shrink in (False, True)
    }
    assert core_s[True] < core_s[False]
