"""What finetune learns about its training images, and what classify makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cancernet_cli import FinetuneOptions, classify, finetune
from cancernet_cli.core.cards import read_card
from cancernet_cli.core.events import Event, Warn
from cancernet_cli.engine.finetune.domain import VIEWS, chosen_views
from tests.he_images import he_like


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, six patients each, two images a patient."""
    root = tmp_path_factory.mktemp("labelled")
    for seed in range(24):
        patient, malignant = seed // 2, seed // 2 % 2
        label, code = ("malignant", "M_DC") if malignant else ("benign", "B_A")
        path = root / label / f"SOB_{code}-14-{1000 + patient}-100-{seed:03d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(he_like(seed, 80, 70)).save(path)
    return root


OPTIONS = FinetuneOptions(
    backbone="test_efficientnet", weights="none", segmenter="none", folds=2, workers=0, view_width_px=64,
    view_height_px=64, device="cpu", batch_size=8,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("unfreeze", [0, 1])
def test_finetune_learns_what_the_images_look_like(labelled: Path, tmp_path: Path, unfreeze: int) -> None:
    epochs = 1 if unfreeze else None
    options = replace(OPTIONS, out=tmp_path / "mine", unfreeze=unfreeze, epochs=epochs)
    finetune([str(labelled)], options)
    domain = read_card(tmp_path / "mine").domain
    assert domain.rank > 0
    assert (domain.cases, domain.share) == (12, round(1 / 13, 4))
    assert domain.flagged <= domain.share
    assert domain.chosen_on == "images of the held-out part of 2 folds"

    seen = tmp_path / "seen"
    seen.mkdir()
    for i in range(3):
        Image.fromarray(he_like(100 + i, 80, 70)).save(seen / f"tissue{i}.png")
    noise = np.random.default_rng(0).integers(0, 256, (70, 80, 3), np.uint8)
    Image.fromarray(noise).save(seen / "unlike.png")
    told: list[Event] = []
    result = classify(seen, out=tmp_path / "p.parquet", model=str(tmp_path / "mine"), device="cpu", report=told.append)
    rows = {row["path"]: row for row in pq.read_table(result.out).to_pylist()}
    assert rows["unlike.png"]["novelty"] > 1
    assert "out_of_domain" in rows["unlike.png"]["flags"].split(",")
    assert max(row["novelty"] for name, row in rows.items() if name != "unlike.png") < rows["unlike.png"]["novelty"]
    unlike = result.flag_counts["out_of_domain"]
    assert any(isinstance(event, Warn) and event.message.startswith(f"{unlike} of 4 files") for event in told)


def test_views_are_chosen_evenly_and_repeated_if_there_are_few() -> None:
    views = np.arange(9.0)[:, None]
    assert chosen_views(views)[:, 0].tolist() == [0, 3, 5, 8]
    assert chosen_views(views[:1])[:, 0].tolist() == [0] * VIEWS
