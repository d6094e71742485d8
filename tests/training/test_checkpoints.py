"""Checkpoints: whole, safe to read, and never another run's."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from cancernet_cli.core.errors import OutputError
from cancernet_cli.training.checkpoints import CheckpointFile, random_state, restore_random_state


def test_gives_back_what_was_saved_with_its_memory_layout(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "c.pt", "key")
    assert file.read() is None
    weight = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    file.save({"weights": {"w": weight}, "epoch": 3})
    held = file.read()
    assert held is not None
    assert held["epoch"] == 3
    assert torch.equal(held["weights"]["w"], weight)
    assert held["weights"]["w"].stride() == weight.stride()


def test_anothers_checkpoint_is_refused_and_replaced_when_asked(tmp_path: Path) -> None:
    CheckpointFile(tmp_path / "c.pt", "one").save({})
    with pytest.raises(OutputError, match=r"to a training with other options or data; .*--overwrite"):
        CheckpointFile(tmp_path / "c.pt", "two").read()
    assert CheckpointFile(tmp_path / "c.pt", "two", replace=True).read() is None


class Runs:
    """What must never run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code from a checkpoint ran')",)


@pytest.mark.parametrize(
    "content", [b"", b"no checkpoint", pickle.dumps(Runs(), protocol=2)], ids=["empty", "text", "pickle"]
)
def test_a_damaged_or_hostile_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(OutputError, match=r"cannot be read: .*remove .*c\.pt to start from scratch"):
        CheckpointFile(tmp_path / "c.pt", "key").read()


def test_hostile_code_in_torchs_own_format_does_not_run(tmp_path: Path) -> None:
    torch.save({"key": Runs()}, tmp_path / "c.pt")
    with pytest.raises(OutputError, match="cannot be read"):
        CheckpointFile(tmp_path / "c.pt", "key").read()


def test_every_random_generator_goes_on_where_it_was(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "c.pt", "key")
    np.random.normal()  # leaves half of a pair cached
    file.save({"random": random_state()})
    expected = random.random(), np.random.normal(), torch.rand(2).tolist()
    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)
    held = file.read()
    assert held is not None
    restore_random_state(held["random"])
    assert (random.random(), np.random.normal(), torch.rand(2).tolist()) == expected
