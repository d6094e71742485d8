"""Heat maps: tile probabilities over the slide's thumbnail."""

from __future__ import annotations

import os
from pathlib import Path

from cancernet_cli.outputs.sink import Sink, SlideResult, shown_class, sinks


@sinks.register(
    "heatmaps",
    help="Draw each slide's tile probabilities over its thumbnail in this folder (PNG).",
    title="heat maps",
    suffix=".png",
    kinds=("slide",),
    needs=("thumbnail",),
)
class HeatMaps(Sink):
    """See `outputs.slides.heatmap`."""

    def write_slide(self, slide: SlideResult, path: Path) -> None:
        """Draw the map with legend and caption."""
        from cancernet_cli.outputs.pictures.files import write_png
        from cancernet_cli.outputs.slides.heatmap import draw_heatmap

        caption = _caption(slide, self.options.pool)
        write_png(draw_heatmap(slide.tiles, slide.thumbnail, slide.downsample, caption, slide.tissue), path)


def _caption(slide: SlideResult, pool: str) -> list[str]:
    from cancernet_cli.core.figures import show_percent
    from cancernet_cli.outputs.pictures.caption import DISCLAIMER

    row, count = slide.row, len(slide.tiles)
    shown = shown_class(row["label"], slide.tiles.classes, [row[f"prob_{name}"] for name in slide.tiles.classes])
    label = shown if shown == row["label"] else f"{row['label']}: {shown}"
    tiles = f"{count - row['failed_tiles']:,} of {count:,} tiles"
    if row["positive_tile_fraction"] is not None:
        tiles += f", {show_percent(100 * row['positive_tile_fraction'])} of them {slide.tiles.positive}"
    lines = [
        os.path.basename(slide.tiles.slide),
        f"{label} {show_percent(100 * row[f'prob_{shown}'])} ({pool} of {tiles})",
        f"{slide.model}. {DISCLAIMER}",
    ]
    unlike = 0 if slide.tiles.unlike is None else int(slide.tiles.unlike.sum())
    if unlike:
        lines.append(f"White lines: {unlike:,} tiles look unlike the training images")
    return lines + ([f"flags: {row['flags'].replace(',', ', ')}"] if row["flags"] else [])
