"""Spreads and costs of repeated measurements."""

from __future__ import annotations

import time

from cancernet_cli.engine.bench.timing import Cost, Spread, costs


def test_spreads_and_costs() -> None:
    assert Spread.of([3.0, 1.0, 2.0], 10) == Spread(median=20, min=10, max=30)
    assert Cost(3, 1).less(Cost(1, 2)) == Cost(2, 0)
    assert Cost(3, 1) + Cost(1, 2) == Cost(4, 3)
    for found in costs(lambda: time.sleep(0.01), 2):
        assert 0.01 <= found.wall_s < 1
        assert found.core_s < found.wall_s  # sleeping takes no CPU time
