"""The resolution of training photos on the card, and the tile of a slide that becomes a view as they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cancernet_cli import FinetuneOptions, finetune
from cancernet_cli.core.cards import InputPolicy, read_card
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.events import Event, Note, Warn
from cancernet_cli.core.options.recipes import recipe_of
from cancernet_cli.engine.finetune.dataset.labelled_images import list_unsplit
from cancernet_cli.engine.finetune.dataset.listing import open_source
from cancernet_cli.engine.finetune.dataset.photo_resolution import with_resolution
from tests.he_images import he_like


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, four patients each, two patches of 50 x 50 pixels each."""
    root = tmp_path_factory.mktemp("patches")
    for seed in range(16):
        path = root / f"p{seed // 2}" / str(seed // 2 % 2) / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(he_like(seed, 50, 50)).save(path)
    return root


def manifest(patches: Path, path: Path, mpp: Any = lambda i: None, power: Any = lambda i: None) -> Path:
    rows = ["path,label,patient,mpp,magnification"]
    for i, image in enumerate(sorted(patches.glob("*/*/*.png"))):
        label = ("benign", "malignant")[int(image.parent.name)]
        rows.append(f"{image},{label},{image.parent.parent.name},{mpp(i) or ''},{power(i) or ''}")
    path.write_text("\n".join(rows) + "\n")
    return path


def options_of(out: Path, **changed: Any) -> FinetuneOptions:
    given = {"backbone": "test_efficientnet", "weights": "none", "segmenter": "none", "folds": 2, "workers": 0}
    given |= {"view_width_px": 64, "view_height_px": 64, "device": "cpu", "out": out, "head": "linear", "levels": "4"}
    return FinetuneOptions(**(given | changed))


def policy_of(data: Path, said: list[Event] | None = None, **changed: Any) -> InputPolicy:
    options = options_of(data.parent / "model", **changed)
    images = list_unsplit(open_source([str(data)], options), options, lambda event: None)
    recipe = recipe_of(options)
    powers = sorted({file.truth.magnification for file in images.files if file.truth.magnification})
    policy = InputPolicy(
        view=recipe.view, width_px=64, height_px=64, scale=recipe.scale, magnifications=tuple(powers),
        scales=recipe.scales, magnification_mpp=dict.fromkeys(recipe.scales, 1.0),
    )  # fmt: skip
    return with_resolution(policy, images, options, [].append if said is None else said.append)


@pytest.mark.parametrize(
    ("view", "unfreeze"),
    [("grid", 0), *(pytest.param(v, u, marks=pytest.mark.slow) for v, u in (("resize", 0), ("grid", 1)))],
)
def test_a_model_of_patches_knows_their_resolution_and_size(
    patches: Path, tmp_path: Path, view: str, unfreeze: int
) -> None:
    said: list[Event] = []
    data = manifest(patches, tmp_path / "m.csv")
    options = options_of(tmp_path / "model", mpp=4.0, view=view, unfreeze=unfreeze, epochs=1)
    finetune([str(data)], options, said.append)
    card = read_card(tmp_path / "model")
    assert (card.input.mpp, card.input.tile_px) == (4.0, (50, 50))
    assert "--mpp 4" in card.training.command
    words = "a tile of a slide will be 50 x 50 px at 4 µm/px, then 64 x 64 px like the images"
    assert words in [event.message for event in said if isinstance(event, Note)]
    assert not [event.message for event in said if isinstance(event, Warn) and "no effect of" in event.message]


def test_the_manifests_resolution_goes_before_the_option(patches: Path, tmp_path: Path) -> None:
    known = manifest(patches, tmp_path / "known.csv", mpp=lambda i: 2.0)
    assert policy_of(known).mpp == 2.0
    assert policy_of(known, mpp=4.0).mpp == 2.0
    some = manifest(patches, tmp_path / "some.csv", mpp=lambda i: 2.0 if i else None)
    assert policy_of(some).mpp is None
    assert policy_of(some, mpp=2.01).mpp == 2.0
    assert policy_of(some, mpp=4.0).mpp is None  # they differ


def test_images_that_are_not_enlarged_are_cut_as_ever(patches: Path, tmp_path: Path) -> None:
    data = manifest(patches, tmp_path / "m.csv")
    assert policy_of(data).mpp is None
    large = tmp_path / "large"
    for seed in range(4):
        (large / f"p{seed}" / str(seed % 2)).mkdir(parents=True)
        Image.fromarray(he_like(seed, 200, 150)).save(large / f"p{seed}" / str(seed % 2) / f"{seed}.png")
    policy = policy_of(manifest(large, tmp_path / "large.csv"), mpp=0.5)
    assert (policy.mpp, policy.tile_px) == (0.5, None)
    assert policy_of(manifest(large, tmp_path / "large.csv"), mpp=0.5, view="resize").tile_px == (200, 150)


def test_one_resolution_for_several_magnifications_is_refused(patches: Path, tmp_path: Path) -> None:
    data = manifest(patches, tmp_path / "m.csv", power=lambda i: 40 if i % 2 else 100)
    with pytest.raises(OptionError, match="--mpp 4 is one resolution, but the images have 40X, 100X") as caught:
        policy_of(data, mpp=4.0)
    assert "column mpp of the manifest" in caught.value.fix
    with pytest.raises(OptionError, match="--mpp 4 is one resolution"):
        policy_of(manifest(patches, tmp_path / "one.csv", power=lambda i: 40), mpp=4.0, scales="40=1,100=0.5")
