"""The parts of `benchmarks/compare_tiatoolbox.py` that need no TIAToolbox: its checks and exported weights."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from cancernet_cli.classification import build_classifier
from cancernet_cli.core.cards import WEIGHTS_FILE, Architecture, Card, Decision
from tests.he_images import he_like
from tests.tiny_model import write_tiny_model

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
PROBS = np.array([[0.25, 0.75], [0.5, 0.5]])


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark as a module; benchmarks import each other from their own folder, as scripts do."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("compare_tiatoolbox")


def write_image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(he_like(0, 64, 48)).save(path)
    return path


def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> str:
    """The error of the script, before it reaches TIAToolbox's environment."""
    monkeypatch.setattr(script, "tiatoolbox_python", lambda _: pytest.fail("nothing is to be installed for this"))
    monkeypatch.setattr(sys, "argv", ["compare_tiatoolbox.py", *map(str, words)])
    with pytest.raises(SystemExit) as refused:
        script.main()
    return str(refused.value.code)


def test_refuses_a_folder_without_images(script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(script, monkeypatch, tmp_path) == f"no images under {tmp_path}"


@pytest.mark.parametrize("name", ["b.bmp", "b.PNG"])
def test_refuses_extensions_that_tiatoolbox_does_not_read(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    write_image(tmp_path / "a.png")
    other = write_image(tmp_path / name)
    said = run(script, monkeypatch, tmp_path)
    assert said == f"TIAToolbox reads only .jpg, .jpeg, .tif, .tiff, .png: not {other} and 0 more"


def test_refuses_a_model_that_is_not_the_same_network_on_both_sides(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_image(tmp_path / "images" / "a.png")
    model = write_tiny_model(tmp_path / "tiny", view="grid", segmenter="threshold")
    said = run(script, monkeypatch, tmp_path / "images", "--model", model)
    assert said.startswith(f"{model} cannot be run by TIAToolbox")
    assert said.endswith("backbone resnet50, view resize, segmenter none")


def test_passes_agreeing_results_with_their_difference(script: ModuleType) -> None:
    assert script.check_agreement(PROBS, np.add(PROBS, [[5e-5, -5e-5], [0, 0]])) == pytest.approx(5e-5)


@pytest.mark.parametrize("off", [2e-4, -2e-4, np.nan])
def test_stops_where_one_probability_is_off(script: ModuleType, off: float) -> None:
    with pytest.raises(SystemExit, match=r"differ by (0.0002|nan), more than 0.0001"):
        script.check_agreement(PROBS, np.add(PROBS, [[0, 0], [0, off]]))


def test_stops_where_a_row_is_missing(script: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"\(2, 2\), TIAToolbox \(1, 2\)"):
        script.check_agreement(PROBS, PROBS[:1])


def test_ratio_is_of_each_round(script: ModuleType) -> None:
    ours = [{"process_s": 2.0, "work_s": 1.0}, {"process_s": 4.0, "work_s": 1.0}, {"process_s": 5.0, "work_s": 2.0}]
    theirs = [{"process_s": 8.0, "work_s": 7.0}, {"process_s": 12.0, "work_s": 6.0}, {"process_s": 10.0, "work_s": 6.0}]
    assert script.ratios(ours, theirs) == {
        "process_ratio": 3.0,  # of 4, 3 and 2
        "process_ratio_spread": [2.0, 4.0],
        "work_ratio": 6.0,  # of 7, 6 and 3
        "work_ratio_spread": [3.0, 7.0],
    }


@pytest.mark.parametrize("backbone", ["resnet50", "resnet50.a1_in1k"])  # torchvision's, and timm's
def test_exports_equivalent_weights(script: ModuleType, tmp_path: Path, backbone: str) -> None:
    """Builds the network as TIAToolbox's CNNModel does."""
    torch.manual_seed(0)
    card = Card(
        name="random",
        task="classify",
        architecture=Architecture(backbone=backbone, head="linear", levels=(4,), classes=("a", "b", "c")),
        decision=Decision(temperature=1.7),
    )
    ours = build_classifier(card.architecture).eval()
    save_file(ours.state_dict(), tmp_path / WEIGHTS_FILE)
    theirs = nn.ModuleDict(
        {
            "feat_extract": nn.Sequential(*list(torchvision.models.resnet50().children())[:-2]),
            "classifier": nn.Linear(2048, 3),
        }
    ).eval()
    theirs.load_state_dict(script.tiatoolbox_weights(tmp_path, card))
    pixels = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        wanted = torch.softmax(ours(pixels) / 1.7, dim=1)
        got = torch.softmax(theirs["classifier"](theirs["feat_extract"](pixels).mean(dim=(2, 3))), dim=1)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)


def test_measures_on_links_to_the_most_common_size(script: ModuleType, tmp_path: Path) -> None:
    for seed, size in enumerate([(64, 48), (64, 48), (32, 48)]):
        path = tmp_path / "images" / f"{seed}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(he_like(seed, *size)).save(path)
    made = script.links_of_one_size(tmp_path / "images", 5, tmp_path)
    pixels = [Image.open(path).tobytes() for path in sorted(made.rglob("*.png"))]
    first, second = (Image.open(tmp_path / "images" / name).tobytes() for name in ("0.png", "1.png"))
    assert pixels == [first, second, first, second, first]
