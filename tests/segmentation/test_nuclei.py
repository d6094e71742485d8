from __future__ import annotations

import numpy as np
import pytest
import shapely
from skimage.color import rgb2hed
from skimage.measure import regionprops_table

from cancernet_cli.core.nuclei import joined, no_nuclei
from cancernet_cli.segmentation.nuclei import measure_nuclei
from tests.nuclei_images import with_nuclei

CENTERS = [(30, 25), (80, 40), (5, 60)]  # the last is cut by the border


def test_measures_agree_with_scikit_image() -> None:
    image, labels = with_nuclei(120, 80, CENTERS)
    nuclei = measure_nuclei(labels, image)
    wanted = regionprops_table(
        labels, rgb2hed(image), properties=("label", "area", "centroid", "solidity", "mean_intensity", "eccentricity")
    )
    assert nuclei.labels.tolist() == [1, 2, 3]
    np.testing.assert_allclose(nuclei.area, wanted["area"])
    np.testing.assert_allclose(nuclei.x, wanted["centroid-1"] + 0.5, rtol=1e-6)
    np.testing.assert_allclose(nuclei.eccentricity, wanted["eccentricity"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(nuclei.hematoxylin, wanted["mean_intensity-0"], rtol=1e-5)
    np.testing.assert_allclose(nuclei.eosin, wanted["mean_intensity-1"], rtol=1e-5)
    np.testing.assert_allclose(nuclei.solidity, wanted["solidity"], atol=0.05)


def test_outlines_are_closed_counterclockwise_and_of_the_right_area() -> None:
    image, labels = with_nuclei(120, 80, CENTERS)
    nuclei = measure_nuclei(labels, image)
    for ring, area in zip(nuclei.outlines, nuclei.area.tolist(), strict=True):
        assert (ring[0] == ring[-1]).all()
        shape = shapely.Polygon(ring)
        assert shape.is_valid
        assert shapely.LinearRing(ring).is_ccw
        assert shape.area == pytest.approx(area, rel=0.04)
    assert shapely.Polygon(nuclei.outlines[0]).centroid.x == pytest.approx(30.5, abs=0.1)


def test_a_single_pixel_has_an_outline() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[7, 9] = 1
    (ring,) = measure_nuclei(labels, np.full((20, 20, 3), 100, np.uint8)).outlines
    assert shapely.Polygon(ring).centroid.coords[0] == (9.5, 7.5)


def test_placing_scales_lengths_and_areas() -> None:
    image, labels = with_nuclei(120, 80, CENTERS)
    nuclei = measure_nuclei(labels, image)
    placed = nuclei.placed(2, 1000, 500)
    np.testing.assert_allclose(placed.x, nuclei.x * 2 + 1000)
    np.testing.assert_allclose(placed.area, nuclei.area * 4)
    np.testing.assert_allclose(placed.outlines[0], nuclei.outlines[0] * 2 + (1000, 500))


def test_no_nuclei_measure_as_none() -> None:
    image, labels = with_nuclei(64, 64, [])
    assert len(measure_nuclei(labels, image)) == len(no_nuclei()) == len(joined([])) == 0
