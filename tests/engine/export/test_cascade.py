"""What is exported: its views are the engine's, and what cannot become a graph is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cancernet_cli.core.cards import InputPolicy, read_card, with_segmenter
from cancernet_cli.core.errors import ModelError
from cancernet_cli.data.loading.views import make_views
from cancernet_cli.engine.export.cascade import Views, build
from tests.he_images import he_like
from tests.tiny_model import write_tiny_model, write_tiny_unet

SCALES = {"scales": {"40": 0.5, "400": 0.25}, "magnification_mpp": {"40": 1.0, "400": 0.1}}
POLICIES = {
    "grid of several views": ((300, 170), {"view": "grid", "scale": 0.5, "overlap": 0.25}),
    "enlarged to one view": ((40, 50), {"view": "grid", "scale": 0.5}),
    "shrunk in two steps": ((500, 300), {"view": "grid", "scale": 0.21}),
    "mirrored": ((90, 70), {"view": "grid", "scale": 0.5, **SCALES}),
    "resized": ((100, 130), {"view": "resize"}),
    "as it is": ((64, 64), {"view": "grid"}),
}


@pytest.mark.parametrize("name", POLICIES)
def test_views_are_those_of_the_engine(name: str) -> None:
    size, values = POLICIES[name]
    policy = InputPolicy(width_px=64, height_px=64, **values)  # type: ignore[arg-type]
    images = np.stack([he_like(seed, *size) for seed in range(2)])
    views = Views(*size, policy)
    expected = np.concatenate([make_views(image, policy) for image in images])
    found = views(torch.from_numpy(images)).numpy()
    assert found.shape == expected.shape == (2 * views.count, 64, 64, 3)
    apart = np.abs(found.astype(np.float32) - expected)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-4


def test_the_input_has_the_size_on_the_card_or_the_chosen_one(tmp_path: Path) -> None:
    classifier, unet = write_tiny_model(tmp_path / "model", segmenter="none"), write_tiny_unet(tmp_path / "unet")
    view = build(classifier, read_card(classifier), None)
    assert (view.width_px, view.height_px, view.is_view, view.outputs) == (64, 64, True, ("probabilities",))
    image = build(classifier, read_card(classifier), (100, 80))
    assert (image.width_px, image.height_px, image.is_view) == (100, 80, False)
    nuclei = build(unet, read_card(unet), None)
    assert (nuclei.width_px, nuclei.height_px, nuclei.outputs) == (448, 448, ("mask",)), "a crop of 224 at scale 0.5"


def test_a_segmenter_outside_the_network_is_refused(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model")
    card = with_segmenter(read_card(model), "watershed")
    with pytest.raises(ModelError, match=r"'watershed' runs outside the network.*; .*--segmenter of none, threshold"):
        build(model, card, None)
