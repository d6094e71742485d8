"""Export a model: write the file, check it against the engine, describe it."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.cards import Card, read_card, with_segmenter
from cancernet_cli.core.cards.sections import MOST_SIDE_PX
from cancernet_cli.core.errors import ModelError, OptionError
from cancernet_cli.core.events import Note, Reporter, silent
from cancernet_cli.core.files import check_output_folder, output_error, publish
from cancernet_cli.core.models import find_model
from cancernet_cli.core.registry import EXPORT_FORMATS, check_entry
from cancernet_cli.engine.export.base import exporters
from cancernet_cli.engine.export.cascade import Exported, build
from cancernet_cli.engine.export.check import (
    differences,
    drawn_inputs,
    engine_on_own_views,
    engine_outputs,
    file_outputs,
    real_inputs,
)
from cancernet_cli.engine.export.readme import readme
from cancernet_cli.engine.export.wsinfer import FOLDER, run_wsinfer, write_wsinfer, wsinfer_config

LEAST_PX = 16
LIMIT = 1e-4  # largest difference from the engine in a probability


@dataclass(frozen=True)
class Export:
    """What was exported.

    out: the folder. files: names in it. outputs: names of the network's outputs. width_px, height_px: of its input.
    differences: by output, the largest difference from the engine. checked_on: "images" or "drawn images".
    checked_images: their number.
    """

    out: Path
    model: str
    format: str
    files: tuple[str, ...]
    outputs: tuple[str, ...]
    width_px: int
    height_px: int
    differences: dict[str, float]
    checked_on: str
    checked_images: int
    size_bytes: int


def export(
    model: str,
    *,
    format: str,
    out: Path,
    image_size: str = "",
    segmenter: str | None = None,
    check: Sequence[str] = (),
    overwrite: bool = False,
    report: Reporter = silent,
) -> Export:
    """Write a model as one file from pixels to calibrated probabilities, with its card and a README.

    The file is run on images by the library that it is for. Unless all its probabilities are those of the engine to
    within 0.0001, nothing is written.

    Args:
        model: a bundled model's name, or a model's folder.
        format: a registered export format.
        image_size: such as `700x460`: the input is an image of this size, and what the engine does to images of this
            size is part of the file. Default: a tile or view, as the card specifies; for a U-Net, its training crop.
        segmenter: used instead of the card's own; the card must allow it.
        check: image files and folders to check with, at most 32 images spread evenly; default: drawn images.
        overwrite: replace files of an earlier export in `out`.

    Raises:
        OptionError: there is no such format, or the image size is not a size.
        ModelError: the model or format cannot be exported, a package is missing, or the file differs from the engine.
        InputError: no image to check with can be used.
        OutputError: `out` is not empty, or cannot be written.
    """
    check_entry("--format", EXPORT_FORMATS, format)
    size = parse_image_size(image_size)
    check_output_folder(out, overwrite=overwrite)
    folder = find_model(model)
    card = with_segmenter(read_card(folder), segmenter)
    network = build(folder, card, size)
    inputs = real_inputs(network, card, check, report) if check else drawn_inputs(network)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".cancernet-") as scratch:
            made = Path(scratch)
            found = _write(made, folder, card, network, format, inputs, report)
            _describe(made, card, network, format, found, count=len(inputs), is_real=bool(check))
            files = _move(made, out)
    except OSError as error:
        raise output_error(out, error) from error
    size_bytes = sum((out / name).stat().st_size for name in files)
    what = (out, card.name, format, files, network.outputs, network.width_px, network.height_px)
    return Export(*what, found, "images" if check else "drawn images", len(inputs), size_bytes)


def parse_image_size(text: str) -> tuple[int, int] | None:
    """Width and height from text such as `700x460`; None for no text.

    Raises:
        OptionError: it is not a size, or a side is below 16 or above 16384 pixels.
    """
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text)
    if found is None or not all(LEAST_PX <= int(side) <= MOST_SIDE_PX for side in found.groups()):
        raise OptionError(
            f"--image-size is {text!r}", fix=f"give width x height in pixels, {LEAST_PX} to {MOST_SIDE_PX}: 700x460"
        )
    return int(found[1]), int(found[2])


def _write(
    made: Path, folder: Path, card: Card, network: Exported, format: str, inputs: Pixels, report: Reporter
) -> dict[str, float]:
    """Write the network's files and return the differences.

    Raises:
        ModelError: it cannot be written, or differs from the engine.
    """
    entry = exporters[format]
    path = made / entry.facts["file"]
    report(Note(f"converting {card.name} to {format}"))
    exporter = entry.factory()
    exporter.write(network, path)
    report(Note(f"comparing {path.name} with the engine on {len(inputs)} images"))
    given = file_outputs(exporter.load(path), inputs)
    expected = engine_on_own_views(folder, card, network, inputs)
    _refuse_difference(path.name, differences(network.outputs, expected, given)[network.outputs[0]])
    found = differences(network.outputs, engine_outputs(folder, card, network, inputs), given)
    config = wsinfer_config(network, card) if format == "torchscript" else None
    if config is not None:
        write_wsinfer(network, config, made / FOLDER)
        apart = differences(("probabilities",), expected[:1], file_outputs(run_wsinfer(made / FOLDER), inputs))
        _refuse_difference(FOLDER, apart["probabilities"])
    return found


def _refuse_difference(name: str, difference: float) -> None:
    """Raises ModelError if the difference is above the limit."""
    if not difference <= LIMIT:
        raise ModelError(
            f"{name} differs from the engine by {difference:.2g} in a probability, more than {LIMIT:g}",
            fix="choose another --format; nothing was written",
        )


def _describe(
    made: Path, card: Card, network: Exported, format: str, found: dict[str, float], *, count: int, is_real: bool
) -> None:
    """Write the card, the labels and the README."""
    labels = card.architecture.classes or ("nucleus",)
    (made / "labels.txt").write_text("".join(f"{name}\n" for name in labels), "utf-8")
    (made / "card.json").write_text(json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n", "utf-8")
    has_wsinfer = (made / FOLDER).is_dir()
    text = readme(card, network, exporters[format], found, count=count, is_real=is_real, has_wsinfer=has_wsinfer)
    (made / "README.md").write_text(text, "utf-8")


def _move(made: Path, out: Path) -> tuple[str, ...]:
    """Move all files into `out`, each in one step; returns their names."""
    names = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        publish(made / name, out / name)
    return tuple(names)
