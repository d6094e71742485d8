"""Stages measured by themselves are those of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from cancernet_cli.core.cards import read_card
from cancernet_cli.engine.bench.sample import find_images, take_sample
from cancernet_cli.engine.bench.stages import PIPELINE_STAGES, file_stages, network_stages
from cancernet_cli.engine.bench.synthetic_images import field, write_fields
from cancernet_cli.inference.pipeline import load_pipeline
from cancernet_cli.inference.runtime import Runtime
from tests.tiny_model import write_tiny_model


def test_the_network_stages_are_the_pipelines_own(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    pipeline = load_pipeline(folder, read_card(folder))
    assert tuple(dict.fromkeys(name for name, _ in pipeline.stages())) == PIPELINE_STAGES
    views = torch.from_numpy(np.stack([field(seed, 64, 64) for seed in range(3)]))
    found = network_stages(pipeline, views, Runtime(torch.device("cpu"), "fp32", 3, 0), repeat=2)
    assert found.keys() == set(PIPELINE_STAGES)
    assert all(one.wall_s > 0 for each in found.values() for one in each)
    assert {len(each) for each in found.values()} == {2}


def test_shrunk_jpegs_cost_less_to_decode(tmp_path: Path) -> None:
    card = read_card(write_tiny_model(tmp_path / "tiny"))  # looks at 64 x 64 pixels
    write_fields(tmp_path / "images", 2, 1024, 768, "jpeg")
    sample = take_sample(find_images(tmp_path / "images", card), card, batch_size=2, max_pixels=10**6)
    core_s = {
        shrink: min(
            one.core_s for one in file_stages(sample, card, max_pixels=10**6, shrink=shrink, repeat=5)["decode"]
        )
        for shrink in (False, True)
    }
    assert core_s[True] < core_s[False]
