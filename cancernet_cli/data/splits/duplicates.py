"""Duplicate detection: equal pixels, or the same field re-encoded, resized, rotated or mirrored.

Two stages. A perceptual hash (`data.splits.picture_hash`) finds candidates
among all pairs; a pair counts if the fine detail of its thumbnails agrees as well. Measured on 530 BreakHis fields: a
field and its copy (JPEG quality 10 to 92, 0.3 to 2 times the size, four pixels cropped, blurred,
noisy) differ in at most 24 bits and their detail correlates at 0.94 or more; two fields of different patients differ in
at least 88 bits and correlate at 0.4 or less; overlapping fields of one slide differ in 50 to 62 bits, at 0.5 to 0.7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cancernet_cli.core.arrays import F32, I64, Bools, Bytes, Pixels
from cancernet_cli.data.splits.picture_hash import BITS, SKETCH_BYTES, distance, hash_bits, sketch, thumbnail

MAX_DISTANCE_BITS = 40
MIN_CORRELATION = 0.8
# Median detail of the thumbnail, in grey levels: at least 1.7 in BreakHis fields, 0.7 for glass with a speck or a cell
# in its corner. Empty fields look the same for all patients, and repeating one is not a leak.
MIN_DETAIL = 1.0
COLOURS = 8
_LOOK_SIDE = 32
_DIGEST_BYTES = 32
_PARTS = (_DIGEST_BYTES, BITS, _LOOK_SIDE**2, SKETCH_BYTES, 4 * COLOURS)  # eight hashes: as many bytes as one has bits
PACKED_BYTES = sum(_PARTS)
_ROUNDS = 4
_CHUNK = 4096
_MEETINGS = 1 << 22

A = TypeVar("A", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The fingerprint of a picture.

    digest: SHA-256 of its size and pixels. hashes: `[8, 32]` uint8, the hash bits of the picture in all eight
    orientations (`_turns`). look: `[32, 32]` uint8, a grey thumbnail. sketch: 8 bytes, equal for equal pixels
    (`picture_hash.sketch`). colours: `[8]` float32 (`colours_of`).
    """

    digest: bytes
    hashes: Bytes
    look: Bytes
    sketch: bytes = bytes(SKETCH_BYTES)
    colours: F32 = field(default_factory=lambda: np.zeros(COLOURS, np.float32))

    def packed(self) -> Bytes:
        """As `[PACKED_BYTES]` uint8, never all 0."""
        digest, sketch = (np.frombuffer(one, np.uint8) for one in (self.digest, self.sketch))
        return np.concatenate([digest, self.hashes.ravel(), self.look.ravel(), sketch, self.colours.view(np.uint8)])

    @classmethod
    def unpacked(cls, packed: Bytes) -> Fingerprint:
        """The fingerprint that `packed` gave."""
        digest, hashes, look, short, colours = np.split(np.asarray(packed), np.cumsum(_PARTS)[:-1])
        return cls(
            digest.tobytes(),
            hashes.reshape(8, BITS // 8),
            look.reshape(_LOOK_SIDE, _LOOK_SIDE),
            short.tobytes(),
            np.frombuffer(colours.tobytes(), np.float32),
        )

    @property
    def has_detail(self) -> bool:
        """Whether the picture has enough detail to be recognised."""
        return float(np.median(np.abs(_detail(self.look[None])))) >= MIN_DETAIL


@dataclass(frozen=True)
class SamePictures:
    """Group numbers of N files. exact: `[N]`, equal for equal pixels. near: `[N]`, equal for the same picture.

    A file that cannot be read or is empty has unique numbers.
    """

    exact: I64
    near: I64


def fingerprint(pixels: Pixels) -> Fingerprint:
    """The fingerprint of `[H, W, 3]` uint8 RGB."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    small = thumbnail(pixels)
    look = cv2.resize(small, (_LOOK_SIDE, _LOOK_SIDE), interpolation=cv2.INTER_AREA)
    return Fingerprint(
        digest.digest(), hash_bits(small), np.asarray(look, np.uint8), sketch(pixels, small), colours_of(pixels)
    )


def colours_of(pixels: Pixels) -> F32:
    """What color alone tells of `[H, W, 3]` uint8 RGB, `[8]` float32.

    Mean and spread of red, green and blue (0 to 1), and the tint of the lightest pixels: the logarithms of red over
    blue and green over blue of the 98th percentiles; all of a thumbnail.
    """
    small = cv2.resize(pixels, (_LOOK_SIDE, _LOOK_SIDE), interpolation=cv2.INTER_AREA).reshape(-1, 3) / 255
    red, green, blue = np.percentile(small, 98, axis=0) + 1 / 255
    tint = np.log([red / blue, green / blue])
    return np.concatenate([small.mean(axis=0), small.std(axis=0), tint]).astype(np.float32)


def same_pictures(prints: Sequence[Fingerprint | None]) -> SamePictures:
    """Group N files by picture; None is one that could not be read.

    Time is linear in N as long as few files show the same picture: 100,000 take about a minute.
    """
    numbers: dict[bytes, int] = {}
    exact = np.arange(len(prints), dtype=np.int64)
    known = [(row, one) for row, one in enumerate(prints) if one is not None and one.has_detail]
    for row, one in known:
        exact[row] = numbers.setdefault(one.digest, row)
    once = [(row, one) for row, one in known if exact[row] == row]
    if len(once) < 2:
        return SamePictures(exact, exact)
    rows = np.array([row for row, _ in once])
    near = rows[_near([one for _, one in once])]
    place = np.full(len(prints), -1)
    place[rows] = near
    return SamePictures(exact, np.where(place[exact] < 0, exact, place[exact]))


def _near(prints: Sequence[Fingerprint]) -> I64:
    """`[N]`: the first picture that is the same as each, or itself.

    Hashes that differ in fewer than 16 bits agree in one of 16 bands of 16 bits, so only pictures that share a band are
    compared. Permuting the bits makes new bands, for pairs that differ in more.
    """
    hashes, looks = (np.stack([getattr(one, name) for one in prints]) for name in ("hashes", "look"))
    bits = np.unpackbits(hashes, axis=2)
    first = np.arange(len(prints), dtype=np.int64)
    order = np.random.default_rng(0)
    for _ in range(_ROUNDS):
        bands = np.packbits(bits[..., order.permutation(BITS)], axis=2).view(np.uint16)
        for band, turn in product(range(bands.shape[2]), range(bands.shape[1])):
            for one, other in _meetings(bands[:, turn, band], bands[:, 0, band]):
                is_new = (other < one) & (first[one] != first[other])
                one, other = one[is_new], other[is_new]
                apart = distance(hashes[one, turn], hashes[other, 0])
                pairs = np.stack([one, other])[:, apart <= MAX_DISTANCE_BITS]
                first = _joined(first, pairs, looks, turn)
    return first


def _meetings(values: NDArray[np.uint16], others: NDArray[np.uint16]) -> Iterator[tuple[I64, I64]]:
    """The positions of all pairs of equal numbers, in chunks."""
    order = np.argsort(others, kind="stable")
    found = others[order]
    start, end = np.searchsorted(found, values, "left"), np.searchsorted(found, values, "right")
    before = np.cumsum(end - start)
    cuts = np.searchsorted(before, np.arange(_MEETINGS, int(before[-1]), _MEETINGS))
    for rows in np.split(np.arange(len(values)), cuts):
        many = (end - start)[rows]
        inside = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        yield np.repeat(rows, many), order[np.repeat(start[rows], many) + inside]


def _joined(first: I64, pairs: I64, looks: Bytes, turn: int) -> I64:
    """The first picture of each group, after joining the pairs whose detail agrees."""
    pairs = pairs[:, np.argsort(pairs[1], kind="stable")]  # if all are equal, the pairs of the first join all others
    for at in range(0, pairs.shape[1], _CHUNK):
        chunk = pairs[:, at : at + _CHUNK]
        chunk = chunk[:, first[chunk[0]] != first[chunk[1]]]
        if not chunk.size or not (agrees := _agree(looks[chunk[0]], looks[chunk[1]], turn)).any():
            continue
        links = np.concatenate([np.stack([np.arange(len(first)), first]), chunk[:, agrees]], axis=1)
        graph = coo_array((np.ones(links.shape[1]), (links[0], links[1])), shape=(len(first), len(first)))
        _, group = connected_components(graph, directed=False)
        _, earliest, back = np.unique(group, return_index=True, return_inverse=True)
        first = earliest[back]
    return first


def _turns(stack: NDArray[A]) -> list[NDArray[A]]:
    """`[M, S, S]` in all eight orientations, in the order of the hashes."""
    across = stack.swapaxes(1, 2)
    return [s[:, ::v, ::h] for s in (stack, across) for v in (1, -1) for h in (1, -1)]


def _agree(looks: Bytes, others: Bytes, turn: int) -> Bools:
    """Whether the detail of each thumbnail, in this orientation, agrees with the other's."""
    one, other = _detail(_turns(looks)[turn]), _detail(others)
    norm = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) >= MIN_CORRELATION * norm)


def _detail(looks: Bytes) -> F32:
    """High-pass of `[M, S, S]`, as `[M, S * S]`: uneven light and large blots are common to many fields."""
    found = [one - cv2.GaussianBlur(one, (0, 0), _LOOK_SIDE / 8) for one in looks.astype(np.float32)]
    flat = np.stack(found).reshape(len(looks), -1)
    return np.asarray(flat - flat.mean(axis=1, keepdims=True), np.float32)
