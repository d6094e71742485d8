"""Which page of a TIFF is the image, and which pages are its channels."""

from __future__ import annotations

from dataclasses import dataclass

from cancernet_cli.data.readers.base import UnsupportedPixels
from cancernet_cli.data.readers.tiff.directories import (
    BITS,
    DESCRIPTION,
    OLD_SUBFILE,
    PHOTOMETRIC,
    SAMPLES,
    SUB_DIRECTORIES,
    SUBFILE,
    Directory,
    directory_at,
    first_directory,
    further_directories,
)
from cancernet_cli.data.readers.tiff.series import Series, described_series, is_label

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_OLD_REDUCED = 2
_MASK_PHOTOMETRIC = 4
_GRAY = (0, 1)
_MAX_SUB_DIRECTORIES = 64


@dataclass(frozen=True, slots=True)
class ChosenPages:
    """The page that is the image, or the pages of its red, green and blue channels.

    has_more: whether the file has further images that are no smaller versions, masks or labels.
    """

    pages: tuple[Directory, ...]
    has_more: bool = False


def choose_pages(data: bytes) -> ChosenPages:
    """The largest full image: reduced versions, masks and labels are passed over; the first of a stack.

    Three one-sample pages that are the channels of one image are joined.

    Raises:
        TruncatedImage, Contradiction: the first directory cannot be read.
        UnsupportedPixels: the pages are channels, but not red, green and blue.
    """
    first = first_directory(data)
    if not first.next_offset and not _is_passed_over(first) and not _is_gray(first):
        return ChosenPages((first,))
    pages = [first, *further_directories(first)]
    description = first.text(DESCRIPTION)
    series = described_series(description, len(pages))
    if series is not None and (found := _of_series(series, pages)) is not None:
        return found
    full = [page for page in pages if not _is_passed_over(page)] or _sub_images(first) or pages
    largest = max(full, key=_area)
    alike = [page for page in full if page.size == largest.size]
    is_stack_of_gray = all(map(_is_gray, alike)) and len({page.number(BITS, 1) for page in alike}) == 1
    if series is None and len(alike) == 3 and is_stack_of_gray and largest.number(BITS, 1) >= 8:
        return ChosenPages(tuple(alike))
    return ChosenPages((largest,), len(full) > 1 and any(not _shows_the_same(page, largest) for page in full))


def _of_series(series: Series, pages: list[Directory]) -> ChosenPages | None:
    """The pages of a series; None if the file does not have them, or if they differ."""
    channels = len(series.pages)
    if channels == 1:
        page = pages[series.pages[0]] if 0 <= series.pages[0] < len(pages) else None
        if page is None or _is_passed_over(page) or series.planes == 1:
            return None  # by the rules for files without a description
        return ChosenPages((page,), has_more=True)
    if not _is_gray(pages[0]):
        return None
    if channels != 3:
        raise UnsupportedPixels(f"a stack of {channels} channels, not red, green and blue; save it as RGB")
    if any(not 0 <= index < len(pages) for index in series.pages):
        raise UnsupportedPixels(f"the pages of its {channels} channels are not all in this file; save it as RGB")
    found = [pages[index] for index in series.pages]
    if len({(page.size, page.number(BITS, 1)) for page in found}) > 1 or not all(map(_is_gray, found)):
        raise UnsupportedPixels("its channels differ in size; save it as RGB")
    stated = [color for color in series.colors if color is not None]
    if len(stated) == 3:
        if sorted(stated) != [0, 1, 2]:
            raise UnsupportedPixels("its three channels are not red, green and blue; save it as RGB")
        found = [found[stated.index(color)] for color in range(3)]
    return ChosenPages(tuple(found), has_more=series.planes > 1)


def _is_passed_over(page: Directory) -> bool:
    return bool(
        page.number(SUBFILE, 0) & (_REDUCED | _MASK)
        or page.number(OLD_SUBFILE, 0) == _OLD_REDUCED
        or page.number(PHOTOMETRIC, -1) == _MASK_PHOTOMETRIC
        or is_label(page.text(DESCRIPTION))
    )


def _sub_images(first: Directory) -> list[Directory]:
    """Full images below the first page, which is then a preview."""
    found = []
    for offset in first.numbers(SUB_DIRECTORIES)[:_MAX_SUB_DIRECTORIES]:
        try:
            page = directory_at(first.data, offset)
        except ValueError:
            continue
        if not _is_passed_over(page) and page.number(PHOTOMETRIC, -1) in (0, 1, 2, 3, 5, 6):
            found.append(page)
    return found


def _is_gray(page: Directory) -> bool:
    return page.number(SAMPLES, 1) == 1 and page.number(PHOTOMETRIC, 1) in _GRAY


def _area(page: Directory) -> int:
    width, height = page.size
    return width * height


def _shows_the_same(page: Directory, largest: Directory) -> bool:
    """Whether a page is the largest one, or a smaller version of it that is not marked as such."""
    if page is largest:
        return True
    (width, height), (full_width, full_height) = page.size, largest.size
    if not (0 < width < full_width and 0 < height < full_height):
        return False
    across, down = full_width / width, full_height / height
    return max(across, down) <= min(across, down) * (1 + 2 / min(width, height))
