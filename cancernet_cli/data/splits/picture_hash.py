"""Hashes by which a picture is recognized: equal pixels, or the same picture saved again, resized, turned or mirrored.

Two per picture, from its grey thumbnail of 64 x 64 pixels: a sketch, equal for equal pixels, and a perceptual hash, the
signs of the 256 lowest DCT frequencies, as in `imagehash.phash`.
"""

from __future__ import annotations

import hashlib
from functools import cache

import cv2
import numpy as np

from cancernet_cli.core.arrays import F32, Bytes, Pixels

HASH_SIDE = 16
BITS = HASH_SIDE * HASH_SIDE
SKETCH_BYTES = 8
_SIDE = 4 * HASH_SIDE
# Mirroring changes the sign of odd frequencies.
_ODD = np.where(np.arange(HASH_SIDE) % 2, -1.0, 1.0).astype(np.float32)
_MIRRORS = np.stack(
    [v * h for v in (np.ones((HASH_SIDE, 1)), _ODD[:, None]) for h in (np.ones(HASH_SIDE), _ODD)]
).astype(np.float32)
_ONES = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2), axis=1).sum(1, dtype=np.uint8)


def thumbnail(pixels: Pixels) -> Bytes:
    """`[64, 64]` uint8 grey of `[H, W, 3]` uint8 RGB.

    Halved first: OpenCV averages blocks of 2 x 2 pixels many times as fast as fractional areas.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    while min(height, width) >= 2 * _SIDE:
        height, width = height // 2, width // 2
        grey = cv2.resize(grey[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def sketch(pixels: Pixels, small: Bytes) -> bytes:
    """Eight bytes that are equal for equal pixels: the SHA-256 of size and thumbnail, cut short."""
    return hashlib.sha256(repr(pixels.shape).encode() + small.tobytes()).digest()[:SKETCH_BYTES]


def hash_bits(small: Bytes) -> Bytes:
    """The perceptual hash `[8, 32]` uint8 of a thumbnail in all eight orientations."""
    matrix = _dct_matrix()
    waves = matrix @ small.astype(np.float32) @ matrix.T
    mirrored = waves * _MIRRORS
    flat = np.concatenate([mirrored, waves.T * _MIRRORS]).reshape(8, BITS)
    middle = np.partition(flat, (BITS // 2 - 1, BITS // 2), axis=1)[:, BITS // 2 - 1 : BITS // 2 + 1]
    return np.packbits(flat > middle.mean(axis=1, keepdims=True), axis=1)


def distance(one: Bytes, other: Bytes) -> Bytes:
    """Number of differing bits between hashes `[..., 2 M]` uint8; the leading shapes are broadcast."""
    words = np.ascontiguousarray(one).view(np.uint16), np.ascontiguousarray(other).view(np.uint16)
    # Word by word: a sum over a short last axis is slow.
    apart = [_ONES[words[0][..., i] ^ words[1][..., i]] for i in range(words[0].shape[-1])]
    return np.asarray(sum(apart, start=np.uint16(0)))


@cache
def _dct_matrix() -> F32:
    """The lowest 16 frequencies of a DCT-II over 64 points, `[16, 64]`."""
    wave, point = np.arange(HASH_SIDE)[:, None], np.arange(_SIDE)
    return (2 * np.cos(np.pi * wave * (2 * point + 1) / (2 * _SIDE))).astype(np.float32)
