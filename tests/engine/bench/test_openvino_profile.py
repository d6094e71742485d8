"""OpenVINO's run time is split among the stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cancernet_cli.core.cards import read_card, with_segmenter
from cancernet_cli.engine.bench.openvino_profile import openvino_shares
from cancernet_cli.engine.bench.synthetic_images import field
from cancernet_cli.inference.openvino_model import openvino_model

BUNDLED = Path(__file__).resolve().parents[3] / "models" / "breakhis_lite0"


@pytest.mark.slow
@pytest.mark.parametrize("segmenter", ["unet", "none"])
def test_shares_match_the_networks_present(segmenter: str) -> None:
    card = with_segmenter(read_card(BUNDLED), segmenter)
    views = np.stack([field(0, card.input.width_px, card.input.height_px)])
    shares = openvino_shares(openvino_model(BUNDLED, card), views)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["normalise"] > 0.005  # densities are scaled
    if segmenter == "none":
        assert shares["segment"] < 0.05
    else:  # the U-Net does ten times the classifier's operations
        assert shares["segment"] > 2 * shares["classify"] > 0
