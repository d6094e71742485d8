from typing import Any

import numpy as np
import pytest

from cancernet_cli.engine.report.sample import Sample, hashed


def columns(count: int) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    error = generator.random(count)
    return {
        "rows": np.arange(count),
        "error": np.where(error < 0.7, np.nan, error),
        "doubt": generator.random(count),
        "is_slide": generator.random(count) < 0.01,
        "is_flagged": generator.random(count) < 0.1,
        "has_failed": generator.random(count) < 0.02,
        "labels": generator.integers(-1, 2, count),
    }


def chosen(data: dict[str, Any], step: int, total: int = 100) -> dict[int, list[str]]:
    sample = Sample(total, 2, seed=0)
    for start in range(0, len(data["rows"]), step):
        sample.add(**{name: column[start : start + step] for name, column in data.items()})
    return sample.chosen()


def test_the_choice_does_not_depend_on_batches() -> None:
    data = columns(5_000)
    whole = chosen(data, 5_000)
    assert list(whole.items()) == list(chosen(data, 321).items())
    assert len(whole) == 100


def test_each_reason_gets_the_rows_that_it_means() -> None:
    data = columns(5_000)
    found = chosen(data, 1_000)
    of = {name: [row for row, why in found.items() if name in why] for name in ("wrong", "doubt", "failed", "slide")}
    best = np.argsort(-np.nan_to_num(data["error"], nan=-1))
    assert set(best[:10].tolist()) <= set(of["wrong"])
    assert set(np.argsort(data["doubt"])[:10].tolist()) <= set(of["doubt"])
    assert len(of["failed"]) >= 5
    assert data["has_failed"][of["failed"]].all()
    assert data["is_slide"][of["slide"]].all()
    assert next(iter(found)) == best[0]


def test_a_short_table_is_shown_whole() -> None:
    assert set(chosen(columns(60), 60)) == set(range(60))


@pytest.mark.parametrize("seed", [0, 1])
def test_random_numbers_are_uniform_and_fixed(seed: int) -> None:
    found = hashed(np.arange(20_000), seed)
    assert found.min() >= 0
    assert found.max() < 1
    assert np.histogram(found, 10, (0, 1))[0].min() > 1_800
    assert (found == hashed(np.arange(20_000), seed)).all()
