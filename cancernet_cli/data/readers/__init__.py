"""Read images: from a file's bytes to RGB pixels, by content and not by file name."""

from cancernet_cli.data.readers.base import FlaggedPixels, Needs, ShrunkImage, UnreadableImage
from cancernet_cli.data.readers.read import read_flagged, read_image, read_shrunk

__all__ = ["FlaggedPixels", "Needs", "ShrunkImage", "UnreadableImage", "read_flagged", "read_image", "read_shrunk"]
