"""Explanations: what each place of an image, or of the most telling tiles of a slide, adds to the prediction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cancernet_cli.outputs.sink import ImageResult, Sink, SlideResult, sinks

if TYPE_CHECKING:
    from cancernet_cli.outputs.pictures.class_colours import RGB
    from cancernet_cli.outputs.sink import Explanation

_VALUES = ".npz"


@sinks.register(
    "explain",
    help="Draw what each place of an image adds to its prediction in this folder (JPEG; values as .npz); of slides, "
    "the tiles that say most.",
    title="explanations",
    suffix=".explain.jpg",
    also=(".explain.npz",),
    kinds=("image", "slide"),
    needs=("pixels", "explanation"),
)
class Explain(Sink):
    """See `outputs.pictures.contributions`."""

    def write_image(self, image: ImageResult, path: Path) -> None:
        """Draw the map next to the image, and write its values."""
        import numpy as np

        from cancernet_cli.core.figures import show_percent
        from cancernet_cli.outputs.pictures.contributions import draw_contributions, in_percent
        from cancernet_cli.outputs.pictures.files import write_jpeg

        assert image.pixels is not None, "the sink needs pixels"
        assert image.explanation is not None, "the sink needs explanations"
        found = image.explanation()
        shown = image.shown_class if image.label == image.shown_class else f"{image.label}: {image.shown_class}"
        first = f"{shown} {show_percent(image.percent)}"
        drawn = draw_contributions(
            image.pixels,
            in_percent(found.map),
            _colours(found, image.classes, image.positive),
            toward_hot=image.shown_class == found.toward,
            legend=(found.toward, found.away),
            caption=[f"{first}. {_sum_of(found)}", _about(image.model)],
        )
        _write_values(path, contribution=found.map, **_facts(found), probs=np.asarray(image.probs))
        write_jpeg(drawn, path)

    def write_slide(self, slide: SlideResult, path: Path) -> None:
        """Draw the most telling tiles with their maps, and write their values."""
        import os

        import numpy as np

        from cancernet_cli.core.figures import show_percent
        from cancernet_cli.outputs.pictures.contributions import draw_tile_contributions, in_percent
        from cancernet_cli.outputs.pictures.files import write_jpeg

        assert slide.telling is not None, "the sink needs it"
        tiles, numbers, found = slide.tiles, slide.telling.numbers, slide.telling.explanations()
        toward = tiles.classes.index(found[0].toward)
        titles = [
            f"x {tiles.x[n]:,} y {tiles.y[n]:,}: {found[0].toward} {show_percent(100 * float(tiles.probs[n, toward]))}"
            for n in numbers
        ]
        drawn = draw_tile_contributions(
            slide.telling.views,
            [in_percent(one.map) for one in found],
            titles,
            _colours(found[0], tiles.classes, tiles.positive),
            legend=(found[0].toward, found[0].away),
            caption=[
                f"{os.path.basename(tiles.slide)}: tiles of the highest and lowest probability, of {len(tiles):,}",
                _about(slide.model),
            ],
        )
        values = np.stack([one.map for one in found])
        _write_values(path, contribution=values, **_facts(found[0]), x=tiles.x[numbers], y=tiles.y[numbers])
        write_jpeg(drawn, path)


def _colours(found: Explanation, classes: tuple[str, ...], positive: str) -> tuple[RGB, RGB]:
    """Of what positive and negative contributions speak for."""
    from cancernet_cli.outputs.pictures.class_colours import FAILED_COLOUR, class_colours

    colours = class_colours(classes, positive)
    return colours[found.toward], colours.get(found.away, FAILED_COLOUR)


def _sum_of(found: Explanation) -> str:
    """`Log odds of malignant +0.83 = +1.20 from all places - 0.37`; Grad-CAM has no such sum."""
    if not found.is_exact:
        return "Grad-CAM: where the score of the class changes most; no sum"
    places = float(found.map.sum(dtype="float64"))
    total = places + found.constant
    sign = "+" if found.constant >= 0 else "-"
    score = "Log odds of" if found.away != "other classes" else "Score of"
    return f"{score} {found.toward} {total:+.2f} = {places:+.2f} from all places {sign} {abs(found.constant):.2f}"


def _about(model: str) -> str:
    from cancernet_cli.outputs.pictures.caption import DISCLAIMER

    return f"{model}. {DISCLAIMER}"


def _facts(found: Explanation) -> dict[str, str | float | bool]:
    return {"constant": found.constant, "toward": found.toward, "away": found.away, "is_exact": found.is_exact}


def _write_values(path: Path, **arrays: object) -> None:
    """Write arrays next to the picture, compressed: places cover many pixels, so the file is small."""
    import io

    import numpy as np

    from cancernet_cli.core.files import write_bytes

    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    write_bytes(path.with_name(path.name.removesuffix(".jpg") + _VALUES), file.getvalue(), durable=False)
