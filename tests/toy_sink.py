"""A sink outside the package, in one file: a line of text per image and slide."""

from pathlib import Path

from cancernet_cli.core.files import write_bytes
from cancernet_cli.outputs.sink import ImageResult, Sink, SlideResult, sinks


@sinks.register(
    "notes",
    help="Write a note per image and slide to this folder.",
    title="notes",
    suffix=".txt",
    kinds=("image", "slide"),
)
class Notes(Sink):
    def write_image(self, image: ImageResult, path: Path) -> None:
        write_bytes(path, f"image {image.label} {image.percent:.2f}".encode())

    def write_slide(self, slide: SlideResult, path: Path) -> None:
        write_bytes(path, f"slide {slide.row['label']} of {len(slide.tiles)} tiles".encode())
