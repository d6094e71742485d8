"""Segmentation masks of images, and of slide tiles in --mask-regions."""

from __future__ import annotations

from pathlib import Path

from cancernet_cli.outputs.sink import ImageResult, Sink, TileMasks, sinks


@sinks.register(
    "masks",
    help="Write each image's soft mask to this folder: its probability as 8-bit PNG, 0 to 255 (binary: 128 or more).",
    title="masks",
    suffix=".mask.png",
    kinds=("image", "tile"),
    needs=("mask",),
    requires_segmenter=True,
)
class Masks(Sink):
    """Soft masks as grayscale PNG: 255 where the segmenter is sure of the foreground; 128 or more is inside."""

    def write_image(self, image: ImageResult, path: Path) -> None:
        """Write the mask of the whole image."""
        from cancernet_cli.outputs.pictures.files import write_mask

        mask = image.mask()
        assert mask is not None, "the sink requires a segmenter"
        write_mask(mask, path)

    def write_tiles(self, tiles: TileMasks, folder: Path) -> None:
        """Write one file per tile, `x<x>_y<y>.png`, of the view's size."""
        from cancernet_cli.outputs.pictures.files import write_mask

        for x, y, mask in zip(tiles.x, tiles.y, tiles.masks, strict=True):
            write_mask(mask, folder / f"x{x:07d}_y{y:07d}.png")
