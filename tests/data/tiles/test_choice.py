"""Which tiles are learned from: spread over the slide, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from cancernet_cli.data.tiles.choice import even_shares, spread_tiles


def grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:side, :side] * 100
    return x.ravel(), y.ravel()


def test_every_part_of_the_slide_gives_its_share() -> None:
    x, y = grid(40)
    worst = []
    for seed in range(20):
        rows = spread_tiles(x, y, 160, np.random.default_rng(seed))
        assert len(set(rows.tolist())) == 160
        blocks = np.bincount(y[rows] // 1000 * 4 + x[rows] // 1000, minlength=16)  # 16 blocks of 10 x 10 tiles: 10 each
        worst.append(np.abs(blocks - 10).max())
    assert np.mean(worst) < 4  # drawn at random: 6.0


def test_on_a_square_of_a_power_of_two_each_quarter_of_a_quarter_gives_exactly_its_share() -> None:
    x, y = grid(32)
    rows = spread_tiles(x, y, 64, np.random.default_rng(3))
    assert np.bincount(y[rows] // 400 * 8 + x[rows] // 400, minlength=64).tolist() == [1] * 64


def test_the_seed_decides_and_the_order_stays() -> None:
    x, y = grid(20)
    one, same, other = (spread_tiles(x, y, 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.tolist() == same.tolist() == sorted(one.tolist())
    assert one.tolist() != other.tolist()


def test_few_tiles_are_all_taken() -> None:
    x, y = grid(3)
    assert spread_tiles(x, y, 9, np.random.default_rng(0)).tolist() == list(range(9))
    assert spread_tiles(x[:0], y[:0], 9, np.random.default_rng(0)).tolist() == []


@pytest.mark.parametrize(
    ("counts", "total", "expected"),
    [
        ([100, 100], 50, [25, 25]),
        ([100, 10], 50, [40, 10]),
        ([3, 4], 50, [3, 4]),
        ([0, 80], 50, [0, 50]),
        ([100, 5, 100], 55, [25, 5, 25]),
        ([], 50, []),
    ],
)
def test_kinds_are_taken_alike_as_far_as_they_go(counts: list[int], total: int, expected: list[int]) -> None:
    assert even_shares(counts, total) == expected
