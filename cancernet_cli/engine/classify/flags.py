"""Flags: reasons to distrust a prediction, for images, tiles and slides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from cancernet_cli.core.figures import counted
from cancernet_cli.data.readers.base import FILE_FLAGS
from cancernet_cli.data.resolution import ANISOTROPIC, ASSUMED, DISAGREES, NOT_BELIEVED

SEPARATOR = ","

OUT_OF_DOMAIN = "out_of_domain"  # unlike the training images
NO_TISSUE = "no_tissue"
BLURRED = "blurred"
DARK = "dark"
MPP_DOUBTFUL = "mpp_doubtful"  # the resolution is unknown or implausible
VIEW_FLAGS = (OUT_OF_DOMAIN, NO_TISSUE, BLURRED, DARK)

_DOUBTFUL = {ASSUMED, NOT_BELIEVED, ANISOTROPIC, DISAGREES}

# In each line the least value on 717 BreakHis fields (40X to 400X) and on 8,854 IDC patches, fat and margins included.
LEAST_TISSUE = 0.05  # 0.10, 0.05
# Variance of the Laplacian: below 30 on 3 of the BreakHis fields; 50 to 2,500 on sharp H&E tiles at 0.4 to 1 um per
# pixel, 5 to 30 on the same tiles after a Gaussian blur of two pixels.
BLURRED_BELOW = 30.0
DARK_BELOW = 100.0  # 154, 131: the lightest pixels of a properly exposed image are much lighter


def flags_of(
    *, novelty: float, tissue_fraction: float, blur: float, brightness: float, of_file: Collection[str] = ()
) -> tuple[str, ...]:
    """Flags of one image or tile, in the order of `VIEW_FLAGS` and `FILE_FLAGS`; NaN raises no flag.

    An image without tissue is not called blurred, since it has nothing to focus on.

    Args:
        novelty: 1 is the limit of the model's card. of_file: the flags that its reader gave. The others: see
            `data.loading.quality.Quality`.
    """
    is_empty = tissue_fraction < LEAST_TISSUE
    applies = {
        OUT_OF_DOMAIN: novelty > 1,
        NO_TISSUE: is_empty,
        BLURRED: blur < BLURRED_BELOW and not is_empty,
        DARK: brightness < DARK_BELOW,
    }
    of_view = [name for name in VIEW_FLAGS if applies[name]]
    return (*of_view, *(name for name in FILE_FLAGS if name in of_file))


def slide_flags(plan: Sequence[str], tiles: Iterable[str | None] = (), more: Sequence[str] = ()) -> str:
    """Flags of a slide: those of most of its tiles, then those of its plan.

    Args:
        plan: flags of the slide's plan. tiles: flags of each tile, joined; None for tiles without a prediction. more:
            further flags of the slide.
    """
    known = [flags for flags in tiles if flags is not None]
    counts = Counter(name for flags in known for name in split_flags(flags))
    of_most = [name for name in VIEW_FLAGS if counts[name] * 2 > len(known)]
    doubtful = [MPP_DOUBTFUL] if _DOUBTFUL & set(plan) else []
    return join_flags(dict.fromkeys((*of_most, *doubtful, *plan, *more)))


def join_flags(flags: Iterable[str]) -> str:
    """Flags as a table has them."""
    return SEPARATOR.join(flags)


def split_flags(flags: str) -> list[str]:
    """The inverse of `join_flags`."""
    return flags.split(SEPARATOR) if flags else []


def novelty_warning(unlike: int, files: int) -> str:
    """The warning after a run in which some files are out of the model's domain."""
    verb = "looks" if unlike == 1 else "look"
    return f"{unlike:,} of {counted(files, 'file')} {verb} unlike the training images (flag {OUT_OF_DOMAIN})"
