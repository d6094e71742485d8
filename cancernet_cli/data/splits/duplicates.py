"""The same picture under two names: equal pixels, or the same field saved again, resized, turned or mirrored.

Two looks. A perceptual hash (the signs of the 256 lowest DCT frequencies, as `imagehash.phash` computes them) finds
candidates among all pairs; the fine detail of two thumbnails has to agree before a pair counts. Measured on 530
BreakHis fields: a field and its copy (JPEG quality 10 to 92, 0.3 to 2 times the size, four pixels cropped, blurred,
noisy) differ in at most 24 bits and their detail correlates at 0.94 or more; two fields of different patients differ in
at least 88 bits and correlate at 0.4 or less; overlapping fields of one slide differ in 50 to 62 bits, at 0.5 to 0.7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cancernet_cli.core.arrays import F32, I64, Bools, Pixels

HASH_SIDE = 16
BITS = HASH_SIDE * HASH_SIDE
MAX_DISTANCE_BITS = 40
MIN_CORRELATION = 0.8
# The median of the thumbnail's detail, in grey levels: BreakHis fields have 1.7 and more, glass with a speck or a cell
# in its corner 0.7. Empty fields are alike whoever the patient is, and nothing is learned from meeting one again.
MIN_DETAIL = 1.0
_LOOK_SIDE = 32
_ROUNDS = 4
_CHUNK = 4096
_MEETINGS = 1 << 22
_ONES = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2), axis=1).sum(1, dtype=np.uint8)

A = TypeVar("A", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a picture is recognised by.

    digest: SHA-256 of its size and pixels. hashes: `[8, 32]` uint8, the hash's bits of the picture as it is and turned
    and mirrored in all ways (`_turns`). look: `[32, 32]` uint8, grey.
    """

    digest: bytes
    hashes: Pixels
    look: Pixels

    @property
    def has_detail(self) -> bool:
        """Whether there is anything to recognise it by."""
        return float(np.median(np.abs(_detail(self.look[None])))) >= MIN_DETAIL


@dataclass(frozen=True)
class SamePictures:
    """Numbers for N files. exact: `[N]`, the same where the pixels are. near: `[N]`, the same where the picture is.

    A file that cannot be read, or shows nothing, has numbers of its own.
    """

    exact: I64
    near: I64


def fingerprint(pixels: Pixels) -> Fingerprint:
    """The fingerprint of `[H, W, 3]` uint8 RGB."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    side = 4 * HASH_SIDE
    small = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)
    look = cv2.resize(small, (_LOOK_SIDE, _LOOK_SIDE), interpolation=cv2.INTER_AREA)
    waves = dctn(small.astype(np.float64))[:HASH_SIDE, :HASH_SIDE]
    # Mirrored, a picture's odd frequencies change sign.
    odd = np.where(np.arange(HASH_SIDE) % 2, -1.0, 1.0)
    turned = [w * v * h for w in (waves, waves.T) for v in (1.0, odd[:, None]) for h in (1.0, odd)]
    bits = np.array([(w > np.median(w)).ravel() for w in turned])
    return Fingerprint(digest.digest(), np.packbits(bits, axis=1), np.asarray(look, np.uint8))


def same_pictures(prints: Sequence[Fingerprint | None]) -> SamePictures:
    """Which of N files show the same picture; None stands for one that could not be read.

    Time grows with N, not with its square, as long as few files show the same: 100 000 take about a minute.
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
    """`[N]`: for each picture the first one that is the same, itself where there is none before it.

    Of hashes that differ in fewer than 16 bits, one of 16 bands of 16 bits is the same; so only pictures that share a
    band are compared. A new order of the bits makes new bands, for pairs that differ in more.
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
                apart = _ONES[hashes[one, turn].view(np.uint16) ^ hashes[other, 0].view(np.uint16)].sum(axis=1)
                pairs = np.stack([one, other])[:, apart <= MAX_DISTANCE_BITS]
                first = _joined(first, pairs, looks, turn)
    return first


def _meetings(values: NDArray[np.uint16], others: NDArray[np.uint16]) -> Iterator[tuple[I64, I64]]:
    """The places of all pairs of equal numbers, some at a time."""
    order = np.argsort(others, kind="stable")
    found = others[order]
    start, end = np.searchsorted(found, values, "left"), np.searchsorted(found, values, "right")
    before = np.cumsum(end - start)
    cuts = np.searchsorted(before, np.arange(_MEETINGS, int(before[-1]), _MEETINGS))
    for rows in np.split(np.arange(len(values)), cuts):
        many = (end - start)[rows]
        inside = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        yield np.repeat(rows, many), order[np.repeat(start[rows], many) + inside]


def _joined(first: I64, pairs: I64, looks: Pixels, turn: int) -> I64:
    """The first picture of each one's group, once those of the pairs whose detail agrees belong together too."""
    pairs = pairs[:, np.argsort(pairs[1], kind="stable")]  # where all are alike, those of the first join all the others
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
    """`[M, S, S]` as it is, and turned and mirrored in the seven other ways, in the order of the hashes."""
    across = stack.swapaxes(1, 2)
    return [s[:, ::v, ::h] for s in (stack, across) for v in (1, -1) for h in (1, -1)]


def _agree(looks: Pixels, others: Pixels, turn: int) -> Bools:
    """Whether the detail of each look, so turned, is that of the other."""
    one, other = _detail(_turns(looks)[turn]), _detail(others)
    norm = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) >= MIN_CORRELATION * norm)


def _detail(looks: Pixels) -> F32:
    """`[M, S, S]` without its slow changes, `[M, S * S]`: uneven light and large blots are alike in many fields."""
    found = [one - cv2.GaussianBlur(one, (0, 0), _LOOK_SIDE / 8) for one in looks.astype(np.float32)]
    flat = np.stack(found).reshape(len(looks), -1)
    return np.asarray(flat - flat.mean(axis=1, keepdims=True), np.float32)
