"""Read images: from a file's bytes to RGB pixels, by content and not by file name."""

from cancernet_cli.data.readers.base import Needs, ShrunkImage, UnreadableImage
from cancernet_cli.data.readers.read import read_image, read_shrunk

__all__ = ["Needs", "ShrunkImage", "UnreadableImage", "read_image", "read_shrunk"]
