"""Image readers: a file's bytes in, RGB pixels out. One file a format, chosen by content and never by ending."""

from cancernet_cli.core.registry import import_all
from cancernet_cli.data.readers.base import UnreadableImage
from cancernet_cli.data.readers.read import read_image

import_all(__name__)

__all__ = ["UnreadableImage", "read_image"]
