"""Probability maps of slides as pyramidal TIFF."""

from __future__ import annotations

from pathlib import Path

from cancernet_cli.outputs.sink import Sink, SlideResult, sinks


@sinks.register(
    "probability_maps",
    help="Write each slide's tile probabilities to this folder as a pyramidal TIFF aligned with the slide.",
    title="maps",
    suffix=".probability.tif",
    kinds=("slide",),
)
class ProbabilityMaps(Sink):
    """See `outputs.slides.probability_tiff`."""

    def write_slide(self, slide: SlideResult, path: Path) -> None:
        """Write the map of the whole slide."""
        from cancernet_cli.outputs.slides.probability_tiff import write_probability_tiff

        write_probability_tiff(slide.tiles, path)
