"""Slide readers: a whole slide in, level pixels out. One file a library, chosen by content."""

from cancernet_cli.core.registry import import_all
from cancernet_cli.data.slides.base import Level, Slide, UnreadableSlide
from cancernet_cli.data.slides.handles import open_slide, shared_slide

import_all(__name__)

__all__ = ["Level", "Slide", "UnreadableSlide", "open_slide", "shared_slide"]
