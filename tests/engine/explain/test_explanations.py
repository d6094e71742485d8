"""Explanations of images and slides: sums, choice of tiles, files, resuming, and the two sanity checks in small."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import spearmanr

from cancernet_cli import classify
from cancernet_cli.core.cards import InputPolicy, read_card
from cancernet_cli.core.events import Event, Warn
from cancernet_cli.engine.classify.slides.state import SlideState
from cancernet_cli.engine.explain.explainer import Explainer
from cancernet_cli.engine.explain.explanations import TILES, added_up, direction_of, most_telling
from tests.he_images import he_like
from tests.slide_files import tissue_slide, write_svs
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos, one of them in several views, and a slide."""
    folder = tmp_path_factory.mktemp("inputs")
    cv2.imwrite(str(folder / "a.jpg"), he_like(1, 150, 100))
    cv2.imwrite(str(folder / "b.png"), he_like(2, 40, 30))
    write_svs(folder / "slide.svs", tissue_slide(600, 400), mpp="0.5")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", view="grid")


@pytest.fixture(scope="module")
def explained(folder: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    classify(folder, out=out / "p.parquet", model=str(model), workers=0, runtime="torch", explain=out / "explain")
    return out


def test_the_sum_of_the_map_and_the_constant_is_the_log_odds(explained: Path) -> None:
    rows = {row["path"]: row for row in pq.read_table(explained / "p.parquet").to_pylist()}
    for name in ("a.jpg", "b.png"):
        found = np.load(explained / "explain" / f"{name}.explain.npz")
        total = found["contribution"].sum(dtype=np.float64) + found["constant"]
        p = rows[name]["prob_malignant"]
        assert rows[name]["views"] >= 1
        assert str(found["toward"]) == "malignant"
        assert bool(found["is_exact"])
        assert total == pytest.approx(np.log(p / (1 - p)), abs=2e-3)
        assert cv2.imread(str(explained / "explain" / f"{name}.explain.jpg")).shape[0] > 200


def test_a_slide_is_explained_by_its_most_telling_tiles(explained: Path) -> None:
    found = np.load(explained / "explain" / "slide.svs.explain.npz")
    tiles = pq.read_table(explained / "p.tiles.parquet", columns=["x", "y", "prob_malignant"])
    x, y, p = (column.to_numpy() for column in tiles.columns)
    order = np.argsort(-p, kind="stable")
    chosen = order if len(order) <= 2 * TILES else np.concatenate([order[:TILES], order[-TILES:]])
    assert found["x"].tolist() == x[chosen].tolist()
    assert found["y"].tolist() == y[chosen].tolist()
    totals = found["contribution"].sum(axis=(1, 2), dtype=np.float64) + found["constant"]
    odds = p[chosen].astype(np.float64)
    np.testing.assert_allclose(totals, np.log(odds / (1 - odds)), atol=2e-3)


def test_explanations_are_the_same_whatever_the_order_and_after_a_stop(folder: Path, model: Path) -> None:
    """Tiles that an earlier run classified are read again if they are among those that say most."""
    from cancernet_cli.core.options import ClassifyOptions

    card = read_card(model)
    plan = type("Plan", (), {"tiles": range(20)})()
    state = SlideState(None, plan, card, ClassifyOptions())  # type: ignore[arg-type]
    p = np.random.default_rng(0).random(20).astype(np.float32)
    state.probs[:] = np.stack([1 - p, p], axis=1)
    state.is_there[:] = True
    state.keep_telling_views()
    again = np.flatnonzero(~state.is_there)
    assert sorted(again) == sorted(np.argsort(-p)[[*range(TILES), *range(-TILES, 0)]])
    assert state.telling_views() is None


def test_an_explanation_does_not_change_the_table(folder: Path, model: Path, explained: Path, tmp_path: Path) -> None:
    classify(folder, out=tmp_path / "p.parquet", model=str(model), workers=0, runtime="torch")
    assert (tmp_path / "p.parquet").read_bytes() == (explained / "p.parquet").read_bytes()


def test_a_finished_run_says_that_explanations_were_not_written(
    folder: Path, model: Path, explained: Path, tmp_path: Path
) -> None:
    told: list[Event] = []
    options = {"model": str(model), "workers": 0, "runtime": "torch", "report": told.append}
    classify(folder, out=explained / "p.parquet", explain=tmp_path / "later", **options)
    words = [event.message for event in told if isinstance(event, Warn)]
    assert any(word.startswith("--explain was not written") for word in words)


def test_views_that_overlap_add_up() -> None:
    policy = InputPolicy(view="grid", width_px=64, height_px=64, overlap=0.5)
    maps = np.full((3, 64, 64), 1.0, np.float32)
    total, outside = added_up(maps, 128, 64, policy)
    assert total.shape == (64, 128)
    assert total.sum() == pytest.approx(64 * 64)
    assert total[0, 64] == pytest.approx(2 / 3)
    assert outside == 0


def test_what_was_mirrored_is_kept_apart() -> None:
    policy = InputPolicy(
        view="grid", width_px=64, height_px=64, scale=1.0, scales={"40": 1.0}, magnification_mpp={"40": 0.25}
    )
    total, outside = added_up(np.ones((1, 64, 64), np.float32), 48, 64, policy)
    assert total.shape == (64, 48)
    assert total.sum() + outside == pytest.approx(64 * 64)
    assert outside > 0


def test_most_telling_tiles_are_at_both_ends_or_the_surest() -> None:
    p = np.linspace(0, 1, 21, dtype=np.float32)
    probs = np.stack([1 - p, p], axis=1)
    probs[20] = np.nan
    assert most_telling(probs, 1).tolist() == [19, 18, 17, 16, 3, 2, 1, 0]
    assert sorted(most_telling(probs, None).tolist()) == [0, 1, 2, 3, 4, 17, 18, 19]
    assert most_telling(probs[:3], 1).tolist() == [2, 1, 0]


def test_the_direction_is_the_difference_of_logits(model: Path) -> None:
    card = read_card(model)
    direction, toward, away = direction_of(card, "benign")
    assert direction.tolist() == [-1, 1]
    assert (toward, away) == ("malignant", "benign")


def test_other_weights_give_another_map(tmp_path: Path) -> None:
    views = torch.from_numpy(np.stack([he_like(seed, 64, 64) for seed in range(4)]))
    maps = []
    for seed in range(6):
        model = write_tiny_model(tmp_path / str(seed), seed=seed, segmenter="none")
        maps.append(Explainer(model, read_card(model))(views, np.float32([-1, 1])).maps)
    found = [spearmanr(maps[0][i], maps[seed][i], axis=None).statistic for seed in range(1, 6) for i in range(4)]
    assert abs(np.mean(found)) < 0.35
    assert spearmanr(maps[0][0], maps[0][0], axis=None).statistic == pytest.approx(1)
