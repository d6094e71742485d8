"""Settings saved by a sweep are used for auto."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cancernet_cli.core.cache import cache_root
from cancernet_cli.core.cards import Card, read_card
from cancernet_cli.core.machine.system import available_cores
from cancernet_cli.core.options import ClassifyOptions, FinetuneOptions
from cancernet_cli.engine.classify.job import prepare
from cancernet_cli.inference import advice as bench_advice
from cancernet_cli.inference.advice import NO_ADVICE, Advice, advice_for, keep_advice
from cancernet_cli.inference.runtime import resolve
from tests.tiny_model import write_tiny_model


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CANCERNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return read_card(write_tiny_model(tmp_path / "tiny"))


CPU_DEVICE = torch.device("cpu")
ASKED = ClassifyOptions(device="cpu")


def test_auto_uses_measured_settings_and_flags_win(own_cache: Path, card: Card, tmp_path: Path) -> None:
    plain = resolve(ASKED, card)
    path = keep_advice(Advice(batch_size=3, workers=0, precision="bf16"), card, CPU_DEVICE, available_cores())
    assert path.is_relative_to(cache_root())
    advised = prepare(str(tmp_path), replace(ASKED, model=str(tmp_path / "tiny")))
    assert (advised.runtime.batch_size, advised.runtime.workers, advised.runtime.precision) == (3, 0, "bf16")
    assert advised.state["precision"] == "bf16"  # what the rows depend on is resolved
    asked = resolve(replace(ASKED, batch_size=5, workers=1, precision="fp32"), card)
    assert (asked.batch_size, asked.workers, asked.precision) == (5, 1, "fp32")
    assert resolve(ASKED) == plain
    assert resolve(FinetuneOptions(device="cpu"), card) == plain


def test_advice_is_for_one_model_machine_version_and_runtime(
    own_cache: Path, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_advice(Advice(batch_size=3), card, CPU_DEVICE, 2)
    keep_advice(Advice(workers=1), card, CPU_DEVICE, 2)  # what was found before stays
    assert advice_for(ASKED, card, CPU_DEVICE, 2) == Advice(batch_size=3, workers=1)
    assert advice_for(ASKED, card, CPU_DEVICE, 4) == NO_ADVICE
    assert advice_for(replace(ASKED, runtime="torch"), card, CPU_DEVICE, 2) == NO_ADVICE
    other = replace(card, segmentation=replace(card.segmentation, segmenter="none"))
    assert advice_for(ASKED, other, CPU_DEVICE, 2) == NO_ADVICE
    monkeypatch.setattr(bench_advice, "__version__", "9")
    assert advice_for(ASKED, card, CPU_DEVICE, 2) == NO_ADVICE


def test_damaged_advice_is_ignored(own_cache: Path, card: Card) -> None:
    path = keep_advice(Advice(precision="int8", batch_size=0), card, CPU_DEVICE, 2)
    assert advice_for(ASKED, card, CPU_DEVICE, 2) == NO_ADVICE  # never int8, never a size that cannot be
    path.write_text("{")
    assert advice_for(ASKED, card, CPU_DEVICE, 2) == NO_ADVICE
    path.write_text("[]")
    assert keep_advice(Advice(workers=2), card, CPU_DEVICE, 2) == path
    assert advice_for(ASKED, card, CPU_DEVICE, 2) == Advice(workers=2)
