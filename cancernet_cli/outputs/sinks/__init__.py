"""Output sinks: the optional files written per image or slide, each sink in its own self-registering module."""

from cancernet_cli.core.registry import import_all
from cancernet_cli.outputs.sinks.base import ImageResult, Sink, SlideResult, TileMasks, sinks

import_all(__name__)

__all__ = ["ImageResult", "Sink", "SlideResult", "TileMasks", "sinks"]
