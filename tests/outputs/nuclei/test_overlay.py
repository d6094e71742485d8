from __future__ import annotations

import numpy as np
import pytest

from cancernet_cli.outputs.nuclei.overlay import FOUND, TRUE, draw_nuclei, draw_nuclei_on_slide, true_outlines
from cancernet_cli.outputs.pictures.lettering import TEXT
from cancernet_cli.segmentation.nuclei import measure_nuclei
from tests.nuclei_images import in_a_grid, with_nuclei

SIZE = (640, 480)


def near(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return np.abs(picture.astype(int) - color).max(axis=2) < 40


def test_outlines_are_drawn_at_the_edge_of_nuclei_and_the_truth_in_a_second_panel() -> None:
    image, labels = with_nuclei(*SIZE, in_a_grid(*SIZE, 80))
    nuclei = measure_nuclei(labels, image)
    alone = draw_nuclei(image, nuclei, None, name="unet", mpp=None)
    assert alone.shape[1] == 640
    lines = near(alone[:480], FOUND)
    rows, columns = np.nonzero(lines)
    centers = np.stack([nuclei.x, nuclei.y], axis=1)
    distance = np.hypot(*(np.stack([columns, rows], axis=1)[:, None] - centers[None]).T).min(axis=0)
    assert len(rows) > 500
    assert np.abs(distance - 14.5).max() < 3
    both = draw_nuclei(image, nuclei, labels, name="unet", mpp=None)
    assert both.shape[1] > 2 * 640
    assert near(both[:480, 646:], TRUE).sum() > 500
    assert near(both[:480, :640], TRUE).sum() == 0


@pytest.mark.parametrize("mpp", [0.25, 1.0])
def test_the_scale_bar_has_the_length_that_it_states(mpp: float) -> None:
    image, labels = with_nuclei(*SIZE, [(100, 100)])
    picture = draw_nuclei(image, measure_nuclei(labels, image), None, name="unet", mpp=mpp)
    bar = (picture[480:, 400:] == TEXT).all(axis=2)
    longest = max(row.sum() for row in bar)
    assert longest == pytest.approx({0.25: 20, 1.0: 100}[mpp] / mpp, abs=3)


def test_small_nuclei_are_enlarged() -> None:
    image, labels = with_nuclei(*SIZE, in_a_grid(*SIZE, 20), radius_px=3)
    assert draw_nuclei(image, measure_nuclei(labels, image), None, name="unet", mpp=None).shape[1] > 1500


def test_a_dot_per_nucleus_on_a_slide() -> None:
    image, labels = with_nuclei(*SIZE, in_a_grid(*SIZE, 80))
    nuclei = measure_nuclei(labels, image).placed(4)
    picture = draw_nuclei_on_slide(image, nuclei, downsample=4.0, title="a.svs", name="unet", mpp=0.25)
    assert (picture[:1200] == FOUND).all(axis=2).sum() == len(nuclei)


def test_true_outlines_follow_labels() -> None:
    _, labels = with_nuclei(*SIZE, [(100, 100), (300, 200)])
    first, second = true_outlines(labels)
    np.testing.assert_allclose(first.mean(axis=0), (100.5, 100.5), atol=0.2)
    np.testing.assert_allclose(second.mean(axis=0), (300.5, 200.5), atol=0.2)
