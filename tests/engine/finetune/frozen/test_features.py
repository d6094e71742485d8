"""Features of a frozen network: those of the whole network, whatever the batches, and kept over a stop."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cancernet_cli.classification import build_backbone, heads
from cancernet_cli.classification.base import Backbone
from cancernet_cli.core.cards import Architecture, Card, InputPolicy, SegmentationPolicy
from cancernet_cli.core.errors import InputError, Interrupted
from cancernet_cli.core.events import Event, Note, StageAdvanced, Warn, silent
from cancernet_cli.core.options import LearningOptions
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.views import make_views
from cancernet_cli.data.readers import read_image
from cancernet_cli.engine.finetune.frozen import features as finetune_features
from cancernet_cli.engine.finetune.frozen.feature_store import Features
from cancernet_cli.engine.finetune.frozen.features import image_features
from cancernet_cli.inference.runtime import resolve
from cancernet_cli.segmentation import combine, segmenters

CARD = Card(
    name="tiny",
    task="classify",
    architecture=Architecture(
        backbone="test_efficientnet", head="level_stats", levels=(1, 2), classes=("benign", "malignant")
    ),
    input=InputPolicy(view="grid", width_px=48, height_px=48),
    segmentation=SegmentationPolicy(segmenter="threshold", background_weight=0.5),
)


@pytest.fixture
def files(tiny_folder: Path) -> list[FoundFile]:
    found = []
    for path in sorted(tiny_folder.glob("*/*")):
        status = path.stat()
        found.append(FoundFile(path.name, os.fsencode(path), status.st_size, status.st_mtime_ns))
    return found


def backbone(levels: tuple[int, ...] = (1, 2)) -> Backbone:
    torch.manual_seed(0)
    return build_backbone("test_efficientnet", levels).eval()


def compute(
    files: list[FoundFile], folder: Path, card: Card = CARD, *, variants: int = 0, report=silent, **changed: object
) -> Features:  # type: ignore[no-untyped-def]
    given = {"with_fingerprints": changed.pop("with_fingerprints", False)}
    options = LearningOptions(device="cpu", **({"workers": 0, "batch_size": 3} | changed))  # type: ignore[arg-type]
    network = backbone(card.architecture.levels)
    segmenter = segmenters[card.segmentation.segmenter].factory(None)
    return image_features(
        files, network, segmenter, card, options, resolve(options), report,
        stage="features", folder=folder, variants=variants, **given,
    )  # fmt: skip


@pytest.mark.parametrize("head", heads.names())
def test_are_what_the_head_reads_of_the_segmented_views(files: list[FoundFile], tmp_path: Path, head: str) -> None:
    card = replace(CARD, architecture=replace(CARD.architecture, head=head))
    found = compute(files, tmp_path / "work", card)
    assert found.values.dtype == (np.float16 if head == "flatten" else np.float32)
    views = torch.from_numpy(make_views(read_image(files[2].location, max_pixels=10**6), card.input))
    pixels = views.permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (card.input.mean, card.input.std))
    seen = (combine(pixels, segmenters["threshold"].factory(None)(pixels), 0.5) - mean) / std
    with torch.inference_mode():
        expected = heads[head].facts["reads"](backbone()(seen)).mean(dim=0).numpy()
    np.testing.assert_allclose(found.values[2, 0], expected, atol=2e-3 if head == "flatten" else 1e-4)


def test_workers_and_batches_change_nothing(files: list[FoundFile], tmp_path: Path) -> None:
    one = compute(files, tmp_path / "one", variants=1)
    two = compute(files, tmp_path / "two", variants=1, workers=1, batch_size=5)
    assert one.values.shape[:2] == (8, 2)
    np.testing.assert_allclose(one.values, two.values, atol=1e-5)


def test_an_image_that_cannot_be_read_is_left_out_with_a_warning(files: list[FoundFile], tmp_path: Path) -> None:
    Path(os.fsdecode(files[1].location)).write_bytes(b"no image")
    told: list[Event] = []
    found = compute(files, tmp_path / "work", report=told.append)
    assert found.rows.tolist() == [0, 2, 3, 4, 5, 6, 7]
    (warning,) = [event for event in told if isinstance(event, Warn)]
    assert warning.message.startswith(f"{files[1].path} is omitted: ")
    np.testing.assert_allclose(found.values, compute(files, tmp_path / "alone", variants=1).values[:, :1], atol=1e-5)


def test_no_readable_image_at_all_is_an_error(files: list[FoundFile], tmp_path: Path) -> None:
    for file in files:
        Path(os.fsdecode(file.location)).write_bytes(b"no image")
    with pytest.raises(InputError, match="none of 8 images could be read"):
        compute(files, tmp_path / "work")


class Counting(nn.Module):
    """Counts the views that pass."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.views = inner, 0

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.views += len(pixels)
        return self.inner(pixels)


def test_a_stopped_run_resumes(files: list[FoundFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = replace(CARD, input=InputPolicy(view="resize", width_px=32, height_px=32))

    def stop(done: str) -> None:
        raise Interrupted(f"stopped; {done}", fix="go on", signal_number=2)

    monkeypatch.setattr(finetune_features, "requested", lambda: True)
    monkeypatch.setattr(finetune_features, "check", stop)
    with pytest.raises(Interrupted, match="the features so far are kept"):
        compute(files, tmp_path / "work", card)
    monkeypatch.undo()
    told: list[Event] = []
    found = compute(files, tmp_path / "work", card, report=told.append)
    assert [event.done for event in told if isinstance(event, StageAdvanced)] == [3, 2]
    assert told[0] == Note("features: 3 of 8 images were done by an earlier run and are reused")
    np.testing.assert_allclose(found.values, compute(files, tmp_path / "whole", card).values, atol=1e-6)
    # All is there: the networks are not asked again, unless a file has changed.
    segmenter = Counting(segmenters["threshold"].factory(None))
    options = LearningOptions(device="cpu", workers=0)

    def compute_with(segmenter: nn.Module, files: list[FoundFile]) -> None:
        image_features(
            files, backbone(), segmenter, card, options, resolve(options), silent,
            stage="features", folder=tmp_path / "work",
        )  # fmt: skip

    for _ in range(2):
        compute_with(segmenter, files)
        assert segmenter.views == 0
    changed = [replace(files[0], mtime_ns=1), *files[1:]]
    compute_with(segmenter, changed)
    assert segmenter.views == 8
