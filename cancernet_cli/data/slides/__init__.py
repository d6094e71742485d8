"""Read whole slides: levels of the pyramid, through the library that supports the format."""

from cancernet_cli.data.slides.base import Level, Slide, UnreadableSlide
from cancernet_cli.data.slides.handles import open_slide, shared_slide

__all__ = ["Level", "Slide", "UnreadableSlide", "open_slide", "shared_slide"]
