"""Classified tiles of slides as GeoJSON annotations."""

from __future__ import annotations

from pathlib import Path

from cancernet_cli.outputs.sink import Sink, SlideResult, sinks


@sinks.register(
    "geojson",
    help="Write each slide's classified tiles to this folder as GeoJSON annotations for QuPath.",
    title="GeoJSON",
    suffix=".geojson",
    kinds=("slide",),
)
class GeoJson(Sink):
    """See `outputs.slides.geojson`."""

    def write_slide(self, slide: SlideResult, path: Path) -> None:
        """Write tiles or merged regions, by --geojson-regions."""
        from cancernet_cli.outputs.slides.geojson import write_geojson

        write_geojson(slide.tiles, path, regions=self.options.geojson_regions)
