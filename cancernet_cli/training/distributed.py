"""Several processes, one a device, that train one network: started by `torchrun`, each with a share of a batch.

On one process nothing of it is active. Gradients are averaged by DistributedDataParallel, so equal shares of a batch
give the gradient of the whole batch up to rounding, for losses that are means over images.
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
    """This process among all: `rank` from 0 to `count - 1`. Only rank 0 writes and reports."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and reports."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """The part of a global batch that is this process's.

        Raises:
            OptionError: the batch cannot be shared evenly.
        """
        if batch % self.count:
            raise OptionError(
                f"a batch of {batch} cannot be shared by {self.count} processes",
                fix=f"use --batch-size {self.count * max(1, round(batch / self.count))}",
            )
        each = batch // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over the processes from now on; call it again when others learn."""
        if self.count == 1:
            return network
        return DistributedDataParallel(network, broadcast_buffers=False)

    def any(self, flag: bool) -> bool:
        """Whether it holds for any process; every process has to ask at the same point."""
        return any(self.gathered(flag)) if self.count > 1 else flag

    def gathered(self, own: T) -> list[T]:
        """Every process's value, in the order of ranks; every process has to ask at the same point."""
        if self.count == 1:
            return [own]
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, own)
        return found

    def from_first(self, value: T) -> T:
        """The first process's value; every process has to ask at the same point."""
        if self.count == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held, src=0)
        return held[0]

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            dist.barrier()


ALONE = Processes()


def join_processes() -> Processes:
    """Join the processes that `torchrun` started; without it, or when asked again, nothing happens.

    CUDA devices talk by NCCL, others by Gloo. The process that `torchrun` calls local rank i uses `cuda:i`.
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
