"""Training figures as TensorBoard events."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.files import output_error
from cancernet_cli.core.records import Epoch

Board = Callable[[Epoch], None]


@contextmanager
def board(folder: Path | None, split: str) -> Iterator[Board]:
    """A function that writes an epoch's figures as events below `folder/split`; None writes nothing.

    Raises:
        OptionError: TensorBoard is not installed.
        OutputError: the folder cannot be written.
    """
    if folder is None:
        yield lambda row: None
        return
    check_board(folder)
    from torch.utils.tensorboard import SummaryWriter

    try:
        writer = SummaryWriter(str(folder / split))
    except OSError as error:
        raise output_error(folder, error) from error
    try:
        yield lambda row: _write(writer, row)
    finally:
        writer.close()


def check_board(folder: Path | None) -> None:
    """Check, before training starts, that TensorBoard is installed if a folder is given.

    Raises:
        OptionError: TensorBoard is not installed.
    """
    if folder is not None:
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError:
            raise OptionError(
                "--tensorboard needs TensorBoard, which is not installed",
                fix='run `pip install "cancernet[tensorboard]"`, or omit --tensorboard',
            ) from None


def _write(writer: object, row: Epoch) -> None:
    for name, value in dataclasses.asdict(row).items():
        if isinstance(value, float):
            writer.add_scalar(name, value, row.epoch)  # type: ignore[attr-defined]
    writer.flush()  # type: ignore[attr-defined]
