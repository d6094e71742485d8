"""Do something with each file in a worker, where it may crash, hang or ask for any amount of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cancernet_cli.core.errors import CancernetError
from cancernet_cli.core.records import Failure, Unreadable
from cancernet_cli.data.loading.limits import SLIDE_TIMES, WHOLE, FileLimits, failure_of, no_memory
from cancernet_cli.data.loading.load import load_batches

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Each(Generic[Item, Made]):
    """The `data.loading.load.Decoder` that calls `make` with one item at a time; a failure takes the result's place."""

    make: Callable[[Item], Made]
    limits: FileLimits
    times: float

    def __getitem__(self, item: Item) -> Made | Failure:
        self.limits.begin(WHOLE, times=self.times)
        try:
            return self.make(item)
        except CancernetError:
            raise
        except Unreadable as error:
            return error.failure
        except MemoryError:
            return no_memory()
        except Exception as error:  # per file: one bad file never ends a run
            return failure_of("decode", error)

    def apart(self, item: Item) -> list[Item]:
        return [item]

    def lost(self, piece: Item, failure: Failure) -> Made | Failure:
        return failure

    def join(self, loaded: Sequence[Made | Failure]) -> Made | Failure:
        return loaded[0]


def in_workers(
    make: Callable[[Item], Made],
    items: Iterable[Item],
    limits: FileLimits,
    *,
    workers: int = 0,
    are_slides: bool = False,
    meanwhile: Callable[[], None] | None = None,
) -> Iterator[Made | Failure]:
    """`make(item)` for each item, in order, or why there is none: it raised, took too long or too much, or crashed.

    Args:
        make: a function of a module or an instance of its class, with nothing in it that cannot be pickled.
        are_slides: the deadline is that of slides. A `make` with several steps calls `limits.begin` before each.
        meanwhile: called at least every half second while waiting; may raise.

    Raises:
        CancernetError: `make` raised it, or a process cannot be started.
    """
    decoder = Each(make, limits, SLIDE_TIMES if are_slides else 1.0)
    return load_batches(items, decoder, workers=workers, meanwhile=meanwhile)
