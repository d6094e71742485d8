"""File name endings of images and slides, from the registered readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# Folders and files that systems and programs leave: metadata of macOS, thumbnails, trash, snapshots. Names that start
# with a dot, among them the `._` companions that macOS writes on other file systems, are passed over too.
_SYSTEM_NAMES = frozenset(
    b"__macosx thumbs.db ehthumbs.db desktop.ini @eadir #recycle #snapshot $recycle.bin lost+found".split()
) | {b"system volume information"}


@dataclass(frozen=True)
class Endings:
    """Lower-case endings such as `.png`, by what files with them can be.

    image, slide: of images alone, and of slides alone. either: of both, such as `.tif`; the content decides.
    """

    image: tuple[bytes, ...]
    slide: tuple[bytes, ...]
    either: tuple[bytes, ...]

    def matcher(self, *, slides: bool) -> Callable[[bytes], bool]:
        """Whether a file name is an image's or, if `slides`, a slide's, in any case."""
        endings = (*self.image, *self.either, *(self.slide if slides else ()))
        return lambda name: name.lower().endswith(endings)


def registered_endings() -> Endings:
    """The endings that the image readers and slide readers register."""
    # Their decoders are imported here and not at the start: `cancernet --help` needs none.
    from cancernet_cli.data.readers.base import readers
    from cancernet_cli.data.slides.base import slide_readers

    image = {ending.encode() for entry in readers for ending in entry.facts["endings"]}
    slide = {ending.encode() for entry in slide_readers for ending in entry.facts["endings"]}
    return Endings(tuple(sorted(image - slide)), tuple(sorted(slide - image)), tuple(sorted(image & slide)))


def is_hidden(name: bytes) -> bool:
    """Whether a file or folder is hidden, or left by the operating system; searches pass over such names."""
    return name.startswith(b".") or name.lower() in _SYSTEM_NAMES
