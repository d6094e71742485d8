"""The parts of the slide benchmarks that need no other tool: generated slides and comparisons."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from cancernet_cli.classification import build_classifier
from cancernet_cli.core.cards import read_card
from cancernet_cli.data.slides import open_slide
from cancernet_cli.data.slides.kinds import kind_of
from cancernet_cli.engine.bench.synthetic_images import GLASS

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """A benchmark as a module; benchmarks import each other from their own folder, as scripts do."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.mark.parametrize(("name", "vendor"), [("s.tif", "generic-tiff"), ("s.svs", "aperio")])
def test_generated_slides_are_pyramids_of_the_requested_size_and_scale(
    load: Load, tmp_path: Path, name: str, vendor: str
) -> None:
    path = load("slide_files").write_slide(tmp_path / name, 5000, 3300, mpp=0.25, glass=False)
    assert kind_of(os.fsencode(path)) == "slide"
    slide = open_slide(os.fsencode(path))
    assert slide.vendor == vendor
    assert [(level.width_px, level.height_px) for level in slide.levels] == [(5000, 3300), (1250, 825), (312, 206)]
    assert (slide.scale.mpp or slide.scale.tiff_mpp) == pytest.approx((0.25, 0.25))


def test_every_level_shows_the_same_tissue_and_the_same_glass(load: Load, tmp_path: Path) -> None:
    path = load("slide_files").write_slide(tmp_path / "s.tif", 4608, 4096)
    levels = [tifffile.imread(path, key=i) for i in range(3)]
    for factor, level in ((4, levels[1]), (16, levels[2])):
        height, width = level.shape[:2]
        whole = levels[0][: height * factor, : width * factor].astype(np.float32)
        means = whole.reshape(height, factor, width, factor, 3).mean(axis=(1, 3))
        assert np.abs(means - level).mean() < 6
        assert np.corrcoef(means.ravel(), level.ravel())[0, 1] > 0.97  # 0.8 where it is shifted by some pixels
    assert (np.abs(levels[0][:300, :300].astype(int) - GLASS) < 4).all()
    middle = levels[0][2000:2300, 2000:2300].astype(int)
    assert (middle.max(axis=2) - middle.min(axis=2)).mean() > 30  # stained


def tool_run(module: ModuleType, seconds: float, tiles: dict[tuple[int, int], list[float]]) -> Any:
    times = {"process_s": seconds + 1, "work_s": seconds}
    return module.Run(times, {place: np.array(probs, np.float32) for place, probs in tiles.items()})


def test_tools_are_compared_at_shared_positions(load: Load) -> None:
    module = load("compare_slides")
    ours = tool_run(module, 1, {(0, 0): [0.25, 0.75], (224, 0): [0.5, 0.5]})
    theirs = tool_run(module, 1, {(224, 0): [0.50005, 0.49995], (448, 0): [0, 1]})
    found = module.check_agreement("WSInfer", ours, theirs)
    assert found["common_tiles"] == 1
    assert found["largest_difference"] == found["mean_difference"] == pytest.approx(5e-5, rel=1e-2)


@pytest.mark.parametrize(
    ("tiles", "words"),
    [
        ({(0, 0): [0.251, 0.749]}, "differ by 0.001, more than 0.0005"),
        ({(0, 0): [np.nan, np.nan]}, "differ by nan"),
        ({(1, 0): [0.25, 0.75]}, "has 1 tiles, CancerNet 1, with no position in common"),
    ],
)
def test_nothing_is_measured_if_results_differ(load: Load, tiles: Any, words: str) -> None:
    module = load("compare_slides")
    ours = tool_run(module, 1, {(0, 0): [0.25, 0.75]})
    with pytest.raises(SystemExit, match=words):
        module.check_agreement("WSInfer", ours, tool_run(module, 1, tiles))


def test_a_duplicate_position_is_an_error(load: Load) -> None:
    with pytest.raises(SystemExit, match="of 3 tiles, 1 have the same position as another"):
        load("compare_slides").by_place(np.array([[0, 0], [1, 0], [0, 0]]), np.zeros((3, 2), np.float32))


def test_the_ratio_is_of_tiles_per_second_in_each_round(load: Load) -> None:
    module = load("compare_slides")
    four = {(i, 0): [1.0, 0.0] for i in range(4)}
    ours = [tool_run(module, seconds, four) for seconds in (1, 1, 2)]
    theirs = [tool_run(module, seconds, {(0, 0): [1.0, 0.0], (1, 0): [1.0, 0.0]}) for seconds in (1, 2, 2)]
    found = module.ratios(ours, theirs)
    assert found["work_ratio"] == 2.0  # of 2, 4 and 2
    assert found["work_ratio_spread"] == [2.0, 4.0]
    assert found["process_ratio_spread"] == [2.0, 3.0]


@pytest.mark.slow
def test_wsinfer_gets_an_equivalent_network(load: Load, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    module = load("compare_slides")
    model = module.model_at(tmp_path / "model", 0.25)
    card = read_card(model)
    assert card.input.mpp == 0.25
    traced = torch.jit.load(str(module.write_torchscript(model, card, tmp_path / "wsinfer.pt")))  # type: ignore[no-untyped-call]
    ours = build_classifier(card.architecture).eval()
    ours.load_state_dict(load_file(model / "model.safetensors"))
    pixels = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(traced(pixels), ours(pixels) / card.decision.temperature, atol=1e-5, rtol=0)


def test_pixels_are_compared_where_they_must_agree(load: Load, tmp_path: Path) -> None:
    module = load("read_tiles")
    path = load("slide_files").write_slide(tmp_path / "s.tif", 1600, 1600)
    found = module.compared(path, 0.25, 224, 21, 1)
    assert found["tiles"] == 21  # three whole rows
    assert found["largest_difference"] == 0
    shrunk = module.compared(path, 0.5, 224, 6, 1)
    assert (shrunk["read_px"], shrunk["read_from_downsample"]) == (448, 1.0)
    assert shrunk["largest_difference"] <= 1


def test_different_pixels_are_an_error(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("read_tiles")
    path = load("slide_files").write_slide(tmp_path / "s.tif", 1600, 1600)
    right = module.read_together
    monkeypatch.setattr(module, "read_together", lambda *given: right(*given) ^ 1)
    with pytest.raises(SystemExit, match="nothing is resized, but pixels differ by up to 1"):
        module.compared(path, 0.25, 224, 7, 1)
