"""Nuclei that touch, and pieces too thin to be one."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cancernet_cli.segmentation.segmenter.watershed import split_nuclei


def discs(*centres: tuple[int, int], radius: int = 10) -> NDArray[np.uint8]:
    mask = np.zeros((64, 80), np.uint8)
    for centre in centres:
        cv2.circle(mask, centre, radius, 1, -1)
    return mask


def pieces(mask: NDArray[np.uint8]) -> int:
    return int(cv2.connectedComponents(mask, connectivity=4)[0]) - 1


def test_two_touching_nuclei_are_parted() -> None:
    mask = discs((25, 30), (42, 30))
    assert pieces(mask) == 1
    parted = split_nuclei(mask)
    assert pieces(parted) == 2
    assert parted.sum() > 0.9 * mask.sum()


def test_a_nucleus_alone_stays_whole() -> None:
    mask = discs((40, 30))
    assert pieces(split_nuclei(mask)) == 1
    assert split_nuclei(mask).sum() == mask.sum()


def test_a_hair_is_no_nucleus() -> None:
    mask = discs((25, 30))
    mask[5:60, 60:63] = 1
    parted = split_nuclei(mask)
    assert parted[30, 25] == 1
    assert parted[:, 60:63].sum() == 0


def test_an_empty_mask_stays_empty_and_a_full_one_is_cut_nowhere_outside() -> None:
    assert split_nuclei(np.zeros((20, 20), np.uint8)).sum() == 0
    assert split_nuclei(np.ones((20, 20), np.uint8)).sum() > 0
