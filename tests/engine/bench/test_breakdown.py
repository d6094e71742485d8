"""The time of runners that fuse stages is split among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.engine.bench.breakdown import stage_costs
from cancernet_cli.engine.bench.limits import ModelOnly
from cancernet_cli.engine.bench.sample import find_images, take_sample
from cancernet_cli.engine.bench.synthetic_images import write_fields
from cancernet_cli.engine.bench.timing import Spread
from cancernet_cli.engine.classify.job import prepare
from cancernet_cli.inference.pipeline import load_pipeline
from tests.bench_runs import SlowRunner
from tests.tiny_model import write_tiny_model


def test_a_fused_run_is_split_among_the_stages(tmp_path: Path) -> None:
    """The stages of a runner other than eager PyTorch add up to its total per view."""
    folder = write_tiny_model(tmp_path / "tiny", segmenter="none")
    write_fields(tmp_path / "images", 2, 64, 64, "png")
    job = prepare(str(tmp_path / "images"), ClassifyOptions(model=str(folder), device="cpu", runtime="torch"))
    sample = take_sample(find_images(tmp_path / "images", job.card), job.card, batch_size=2, max_pixels=10_000)
    model = ModelOnly(Spread(100.0, 80.0, 125.0), core_s_per_view=0.016)
    found, words = stage_costs(job, SlowRunner(), load_pipeline(folder, job.card), model, sample, 1)
    merged = ("normalise", "segment", "combine", "classify")
    assert sum(found[name][1].wall_s for name in merged) == pytest.approx(1 / 100)
    assert sum(found[name][0].core_s for name in merged) == pytest.approx(0.016)
    assert words.startswith("the compiled networks as a whole")
