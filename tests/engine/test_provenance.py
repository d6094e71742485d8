"""What a resumed run is compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cancernet_cli.core.cards import read_card
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.engine.provenance import result_state
from cancernet_cli.inference.runtime import Runtime
from cancernet_cli.segmentation import segmenters
from tests.tiny_model import write_tiny_model


@pytest.mark.parametrize(("needs_model", "expected"), [(True, ["a" * 64, "b" * 64]), (False, ["", ""])])
def test_weights_of_any_learned_segmenter_belong_to_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs_model: bool, expected: list[str]
) -> None:
    monkeypatch.setattr(segmenters, "_entries", dict(segmenters._entries))
    segmenters.register("toy", summary="a toy", needs_model=needs_model)(lambda model: torch.nn.Identity())
    folder = write_tiny_model(tmp_path / "tiny")
    card = read_card(folder)
    runtime = Runtime(torch.device("cpu"), "fp32", 1, 0)

    def state(sha256: str) -> dict[str, str]:
        policy = replace(card.segmentation, segmenter="toy", model="toy_model", sha256=sha256)
        return result_state(replace(card, segmentation=policy), folder, ClassifyOptions(), runtime)

    assert [state(sha256)["segmentation_weights_sha256"] for sha256 in ("a" * 64, "b" * 64)] == expected
