"""Images with mask contour, label and probability."""

from __future__ import annotations

from pathlib import Path

from cancernet_cli.outputs.sink import ImageResult, Sink, sinks


@sinks.register(
    "overlays",
    help="Write each image with its mask contour, label and probability to this folder (JPEG).",
    title="overlays",
    suffix=".overlay.jpg",
    kinds=("image",),
    needs=("pixels", "mask"),
)
class Overlays(Sink):
    """See `outputs.pictures.overlay`."""

    def write_image(self, image: ImageResult, path: Path) -> None:
        """Draw the image; without a segmenter there is no contour."""
        from cancernet_cli.outputs.pictures.caption import Legend
        from cancernet_cli.outputs.pictures.class_colours import class_colours
        from cancernet_cli.outputs.pictures.files import write_jpeg
        from cancernet_cli.outputs.pictures.overlay import draw_overlay

        assert image.pixels is not None, "the sink needs pixels"
        drawn = draw_overlay(
            image.pixels,
            image.mask(),
            label=image.label,
            percent=image.percent,
            true_label=image.true_label,
            percent_of=image.shown_class,
            flags=image.flags,
            colour=class_colours(image.classes, image.positive)[image.shown_class],
            legend=Legend(
                contour=f"mask ({image.segmenter})" if image.segmenter not in ("", "none") else "",
                threshold=image.shown_threshold,
                unsure=image.shown_unsure,
                model=image.model,
                um_per_px=image.mpp,
            ),
        )
        write_jpeg(drawn, path)
