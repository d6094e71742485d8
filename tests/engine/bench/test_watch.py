"""Watching a run from outside."""

from __future__ import annotations

import pytest

from cancernet_cli.data.loading.images import load_batches
from cancernet_cli.engine.bench.watch import watching
from cancernet_cli.engine.classify import run as classify
from cancernet_cli.inference.open import open_runner


def test_watching_ends_with_its_block() -> None:
    def interrupted() -> None:
        with watching():
            assert classify.load_batches is not load_batches
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        interrupted()
    assert classify.load_batches is load_batches
    assert classify.open_runner is open_runner
