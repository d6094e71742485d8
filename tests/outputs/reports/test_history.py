"""The history of a training as a table, and as TensorBoard's events."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cancernet_cli.core.errors import CancernetError, InputError
from cancernet_cli.core.records import Epoch
from cancernet_cli.outputs.reports.history import read_history, write_history
from cancernet_cli.outputs.reports.tensorboard import board, check_board

ROWS = [
    Epoch("fold_0", 1, 0.7, 0.5, 0.69, 0.55, 0.6, None, 1e-3, 64, 1.5),
    Epoch("final", 2, 0.25, validation_dice=0.8),
]


def test_gives_back_what_was_written_and_the_same_bytes_twice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_history(ROWS, tmp_path / name)
    assert read_history(tmp_path / "one") == ROWS
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    schema = pq.read_schema(tmp_path / "one")
    assert str(schema.field("epoch").type) == "int32"
    assert str(schema.field("split").type).startswith("dictionary")


def test_no_rows_are_a_history_too(tmp_path: Path) -> None:
    write_history([], tmp_path / "h.parquet")
    assert read_history(tmp_path / "h.parquet") == []


def test_what_is_no_history_is_refused(tmp_path: Path) -> None:
    (tmp_path / "h.parquet").write_bytes(b"no table")
    for name in ("h.parquet", "missing.parquet"):
        with pytest.raises(InputError, match=r"cannot be read: .*history\.parquet that `cancernet finetune` wrote"):
            read_history(tmp_path / name)


def test_events_hold_the_figures_of_every_epoch(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with board(tmp_path, "fold_0") as write:
        for epoch in (1, 2):
            write(Epoch("fold_0", epoch, 1 / epoch))
    events = EventAccumulator(str(tmp_path / "fold_0"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train_loss")] == [(1, 1.0), (2, 0.5)]
    assert "validation_loss" not in events.Tags()["scalars"]


def test_no_folder_no_events(tmp_path: Path) -> None:
    with board(None, "final") as write:
        write(ROWS[0])
    assert list(tmp_path.iterdir()) == []


def test_without_tensorboard_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(CancernetError, match=r'not installed; run `pip install "cancernet\[tensorboard\]"`'):
        check_board(tmp_path)
    check_board(None)
    with pytest.raises(CancernetError, match="not installed"), board(tmp_path, "final"):
        pass
