from __future__ import annotations

import cv2
import numpy as np

from cancernet_cli.segmentation.instances import connected_nuclei, full_size, separate_nuclei
from tests.nuclei_images import ellipse


def test_touching_nuclei_are_separated_in_the_middle() -> None:
    mask = np.zeros((80, 120), np.float32)
    for center in ((45, 40), (73, 40)):
        cv2.circle(mask, center, 16, 1.0, -1)
    labels = separate_nuclei(mask, 0.25)
    assert labels.max() == 2
    assert labels[40, 45] != labels[40, 73]
    # scikit-image's watershed without lines: every pixel of the mask belongs to one of the two
    assert ((labels > 0) == (mask > 0)).all()
    areas = np.bincount(labels.ravel())[1:]
    assert abs(areas[0] - areas[1]) < 0.05 * areas.sum()


def test_an_elongated_nucleus_stays_whole() -> None:
    assert separate_nuclei(ellipse(80, 120, (24, 12)), 0.25).max() == 1


def test_specks_are_dropped_and_holes_filled_by_their_physical_size() -> None:
    mask = ellipse(80, 120, (20, 20))
    mask[38:44, 58:64] = 0  # 36 pixels: 2.25 um2 at 0.25 um per pixel
    mask[2:6, 2:6] = 1  # 1 um2
    labels = separate_nuclei(mask, 0.25)
    assert labels.max() == 1
    assert labels[41, 61] == 1
    assert labels[3, 3] == 0
    assert separate_nuclei(mask, 2.0)[3, 3] > 0  # where the speck is 64 um2


def test_empty_and_full_masks() -> None:
    assert separate_nuclei(np.zeros((32, 48), np.float32), 0.5).max() == 0
    assert separate_nuclei(np.ones((32, 48), np.float32), 0.5).min() == 1


def test_labels_follow_the_outline_of_the_larger_mask() -> None:
    small = cv2.GaussianBlur(ellipse(40, 60, (12, 8)), (0, 0), 1.0)
    mask, labels = full_size(small, separate_nuclei(small, 0.5), 120, 80)
    assert mask.shape == labels.shape == (80, 120)
    assert ((labels == 1) == (mask >= 0.5)).all()
    smaller_mask, smaller = full_size(small, separate_nuclei(small, 0.5), 30, 20)
    assert smaller.shape == smaller_mask.shape == (20, 30)
    assert smaller.max() == 1


def test_diagonal_pixels_are_connected() -> None:
    assert connected_nuclei(np.eye(4, dtype=bool)).max() == 1
