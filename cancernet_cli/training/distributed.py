"""Data-parallel training in several processes started by `torchrun`, one per device, each with a share of a batch.

With a single process, none of this is active. DistributedDataParallel averages the gradients, so equal shares of a
batch give the gradient of the whole batch up to rounding, for losses that are means over images.
"""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cancernet_cli.core.errors import OptionError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The rank of this process, 0 to `count - 1`, and the number of processes. Only rank 0 writes and reports."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """This process's share of a global batch.

        Raises:
            OptionError: the batch cannot be divided evenly.
        """
        if batch % self.count:
            raise OptionError(
                f"a batch of {batch} cannot be divided among {self.count} processes",
                fix=f"use --batch-size {self.count * max(1, round(batch / self.count))}",
            )
        each = batch // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network with gradients averaged over processes; call it again when other parameters are trained."""
        if self.count == 1:
            return network
        return DistributedDataParallel(network, broadcast_buffers=False)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; a collective call."""
        return any(self.gathered(flag)) if self.count > 1 else flag

    def gathered(self, own: T) -> list[T]:
        """The values of all processes, by rank; a collective call."""
        if self.count == 1:
            return [own]
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, own)
        return found

    def from_first(self, value: T) -> T:
        """The value of the first process; a collective call."""
        if self.count == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held, src=0)
        return held[0]

    def wait(self) -> None:
        """Wait for all processes."""
        if self.count > 1:
            dist.barrier()


ALONE = Processes()


def join_processes() -> Processes:
    """Join the processes that `torchrun` started; does nothing without it, or when called again.

    CUDA devices communicate by NCCL, others by Gloo. The process with local rank i uses `cuda:i`.
    """
    if dist.is_available() and dist.is_initialized():
        return Processes(dist.get_rank(), dist.get_world_size())
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or "MASTER_ADDR" not in os.environ:
        return ALONE
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    atexit.register(_leave)
    return Processes(dist.get_rank(), dist.get_world_size())


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
