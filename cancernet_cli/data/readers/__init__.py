"""Image readers: a file's bytes in, RGB pixels out. One file a format, chosen by content and never by ending."""

from cancernet_cli.core.registry import import_all
from cancernet_cli.data.readers.base import Needs, ShrunkImage, UnreadableImage
from cancernet_cli.data.readers.read import read_image, read_shrunk

import_all(__name__)

__all__ = ["Needs", "ShrunkImage", "UnreadableImage", "read_image", "read_shrunk"]
