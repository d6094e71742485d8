"""Decode items in workers, in order; one that crashes its worker, or takes too long, is reported and passed over."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Protocol, TypeVar

from cancernet_cli.core.records import Failure
from cancernet_cli.data.loading.limits import WHOLE
from cancernet_cli.data.loading.workers import WorkerLost, Workers, start_workers

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


class Decoder(Protocol[Item, Loaded]):
    """The work of a worker: one item in, its result out, never raising."""

    def __getitem__(self, item: Item, /) -> Loaded: ...

    def apart(self, item: Item) -> list[Item]:
        """The item split into pieces, any of which can be lost without the others."""

    def lost(self, piece: Item, failure: Failure) -> Loaded:
        """The result for a piece that crashed its worker."""

    def join(self, loaded: Sequence[Loaded]) -> Loaded:
        """The results of an item's pieces as one result."""


def load_batches(
    batches: Iterable[Item],
    decoder: Decoder[Item, Loaded],
    *,
    workers: int,
    pin_memory: bool = False,
    meanwhile: Callable[[], None] | None = None,
) -> Generator[Loaded]:
    """Decode batches in order; `batches` is read lazily, a few batches ahead of the workers.

    The workers start immediately; 0 workers are one, which does not work ahead. If one dies (a crash in a decoder, the
    kernel's out-of-memory killer) or takes too long, only the piece that is to blame is lost. Pinned memory is for
    copies to a GPU. `meanwhile` is called at least every half second while waiting, and may raise.
    """
    loader = start_workers(decoder, batches, workers, pin_memory=pin_memory, meanwhile=meanwhile)
    return _rescued(loader, decoder)


def _rescued(loader: Workers[Loaded], decoder: Decoder[Item, Loaded]) -> Generator[Loaded]:
    try:
        while True:
            try:
                yield next(loader)
            except StopIteration:
                return
            except WorkerLost as lost:
                yield _rescue(lost, loader, decoder)
    finally:
        loader.close()


def _rescue(lost: WorkerLost, loader: Workers[Loaded], decoder: Decoder[Item, Loaded]) -> Loaded:
    """Decode an item whose worker was lost, piece by piece: one of them may be to blame, or none."""
    if lost.is_late and lost.step == WHOLE:
        return decoder.lost(lost.item, lost.failure)
    loaded = []
    for number, piece in enumerate(decoder.apart(lost.item)):
        if lost.is_late and number == lost.step:
            loaded.append(decoder.lost(piece, lost.failure))
            continue
        try:
            loaded.append(loader.alone(piece))
        except WorkerLost as again:
            loaded.append(decoder.lost(piece, again.failure))
    return decoder.join(loaded)
