"""Exported files give the engine's probabilities, are described, and are not left behind if they do not."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cancernet_cli.classification import build_classifier
from cancernet_cli.classification.base import heads
from cancernet_cli.classification.domain import Novelty, domain_width
from cancernet_cli.core.cards import (
    WEIGHTS_FILE,
    Architecture,
    Domain,
    SegmentationPolicy,
    Weights,
    file_sha256,
    read_card,
    write_card,
)
from cancernet_cli.core.errors import InputError, ModelError, OptionError, OutputError
from cancernet_cli.core.registry import EXPORT_FORMATS, entry_names
from cancernet_cli.engine.export import run
from cancernet_cli.engine.export.run import export, parse_image_size
from tests.he_images import he_like
from tests.tiny_model import write_tiny_model, write_tiny_unet

FORMATS = entry_names(EXPORT_FORMATS)
pytestmark = pytest.mark.timeout(600)  # tracing a network takes PyTorch's exporter tens of seconds on a busy machine


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with everything: U-Net, stain normalization, correlations, temperature, novelty, tiles of 24 px."""
    folder = tmp_path_factory.mktemp("models")
    unet = read_card(write_tiny_unet(folder / "tiny_unet"))
    model = write_tiny_model(folder / "cascade")
    card = read_card(model)
    architecture = Architecture(
        backbone="test_efficientnet", head="correlations", levels=(1, 2), classes=("non_idc", "idc")
    )
    torch.manual_seed(0)
    classifier = build_classifier(architecture)
    classifier.head.linear.weight.data *= 3  # probabilities that differ between images
    classifier.domain = Novelty(domain_width(classifier.backbone.channels), 3)
    classifier.domain.axes.normal_()
    classifier.domain.gains.uniform_()
    save_file(classifier.state_dict(), model / WEIGHTS_FILE)
    card = replace(
        card,
        architecture=architecture,
        input=replace(
            card.input,
            view="grid",
            stain_normalization="scaled",
            mpp=4.0,
            tile_width_px=24,
            tile_height_px=24,
        ),
        segmentation=SegmentationPolicy(
            segmenter="unet", model="tiny_unet", sha256=unet.weights.sha256, background_weight=0.5
        ),
        decision=replace(card.decision, positive="idc", temperature=1.7),
        domain=Domain(rank=3),
        weights=Weights(sha256=file_sha256(model / WEIGHTS_FILE)),
    )
    write_card(card, model)
    return model


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        cv2.imwrite(str(folder / f"{seed}.png"), he_like(seed, 60 + seed, 50)[:, :, ::-1])
    return folder


def run_readme(out: Path, image: Path) -> dict[str, Any]:
    """What the programs of an exported model's README compute for an image."""
    text = (out / "README.md").read_text("utf-8").replace("image.png", str(image))
    values: dict[str, Any] = {}
    before = os.getcwd()
    os.chdir(out)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(out))
            for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
                exec(program, values)
    finally:
        os.chdir(before)
    return values


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_gives_the_engines_outputs(
    format: str, cascade: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    found = export(str(cascade), format=format, out=out, check=[str(photos)])
    assert found.outputs == ("probabilities", "novelty", "mask")
    assert found.checked_images == 3
    assert found.differences["probabilities"] <= 1e-4
    assert found.differences["novelty"] < 1e-2
    assert found.differences["mask"] < 1e-2
    assert {"README.md", "card.json", "labels.txt"} < set(found.files)
    assert (out / "labels.txt").read_text() == "non_idc\nidc\n"
    assert json.loads((out / "card.json").read_text())["decision"]["temperature"] == 1.7
    tile = tmp_path / "tile.png"
    cv2.imwrite(str(tile), he_like(7, 24, 24))
    values = run_readme(out, tile)
    assert values["outputs"][0].shape == (1, 2)
    assert "idc" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("format", ["h5", "onnx"])
def test_the_same_model_gives_the_same_bytes(format: str, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model", segmenter="none")
    made = [export(str(model), format=format, out=tmp_path / str(i)) for i in range(2)]
    for name in made[0].files:
        assert (made[0].out / name).read_bytes() == (made[1].out / name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_images_of_a_chosen_size_are_cut_into_views_in_the_file(format: str, photos: Path, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model", view="grid", segmenter="none")
    big = tmp_path / "big.png"
    cv2.imwrite(str(big), he_like(1, 150, 100))
    found = export(str(model), format=format, out=tmp_path / "out", image_size="150x100", check=[str(big)])
    assert (found.width_px, found.height_px) == (150, 100)
    with pytest.raises(InputError, match="none of 3 images to check with can be read and has 150 x 100 pixels"):
        export(str(model), format=format, out=tmp_path / "small", image_size="150x100", check=[str(photos)])


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_a_unet_gives_its_mask(format: str, tmp_path: Path) -> None:
    unet = write_tiny_unet(tmp_path / "unet")
    found = export(str(unet), format=format, out=tmp_path / "out", image_size="96x64")
    assert found.outputs == ("mask",)
    assert (tmp_path / "out" / "labels.txt").read_text() == "nucleus\n"
    image = tmp_path / "image.png"
    cv2.imwrite(str(image), he_like(7, 96, 64))
    assert run_readme(tmp_path / "out", image)["outputs"][0].shape == (1, 1, 64, 96)


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", ["breakhis_lite0", "idc_tiles", "tnbc_unet"])
def test_bundled_models(name: str, format: str, tmp_path: Path) -> None:
    found = export(name, format=format, out=tmp_path / "out")
    assert max(found.differences.values()) <= 1e-3


@pytest.mark.slow
def test_a_file_that_differs_is_not_left(cascade: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run.engine_on_own_views

    def shifted(*arguments: Any) -> list[np.ndarray]:
        return [one + 0.001 for one in expected(*arguments)]

    monkeypatch.setattr(run, "engine_on_own_views", shifted)
    with pytest.raises(
        ModelError, match=r"model.pt differs from the engine by 0.001 in a probability, more than 0.000"
    ):
        export(str(cascade), format="torchscript", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_head_in_python_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Python(nn.Module):
        def forward(self, maps: list[Tensor]) -> Tensor:
            means = maps[-1].mean(dim=(2, 3)).numpy()
            return torch.from_numpy(np.sort(means, axis=1)[:, :2].copy())

    heads.names()  # all are imported, so that none is registered in the copy alone
    monkeypatch.setattr(heads, "_entries", dict(heads._entries))
    heads.register("in_python", summary="sorted means", reads=lambda maps: maps[-1])(lambda channels, classes: Python())
    model = write_tiny_model(tmp_path / "model", segmenter="none")
    card = read_card(model)
    architecture = replace(card.architecture, head="in_python")
    save_file(build_classifier(architecture).state_dict(), model / WEIGHTS_FILE)
    weights = Weights(sha256=file_sha256(model / WEIGHTS_FILE))
    write_card(replace(card, architecture=architecture, weights=weights), model)
    for format in ("torchscript", "onnx"):
        with pytest.raises(ModelError, match=r"cannot be converted to a graph of PyTorch: .*; export a model whose"):
            export(str(model), format=format, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("package", ["onnxscript", "keras"])
def test_a_missing_package_is_named_with_its_extra(
    package: str, cascade: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    format, extra = ("h5", "keras") if package == "keras" else ("onnx", "onnx")
    with pytest.raises(ModelError, match=rf"requires the package '{package}'; pip install \"cancernet\[{extra}\]\""):
        export(str(cascade), format=format, out=tmp_path / "out")


def test_wrong_options_are_refused(cascade: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="unknown format 'onx'; did you mean onnx"):
        export(str(cascade), format="onx", out=tmp_path / "out")
    for text in ("700", "700x", "8x8", "0x460", "99999x10"):
        with pytest.raises(OptionError, match=r"--image-size is .*; give width x height"):
            parse_image_size(text)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty"):
        export(str(cascade), format="onnx", out=tmp_path / "full")
