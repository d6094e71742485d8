"""`cancernet models quantise`: calibrate an int8 network on given images and store it with the model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from cancernet_cli.core.cards import read_card, with_segmenter
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.events import Reporter, Warn, silent
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.inference.int8 import VIEWS, image_views, make_int8


def quantise(model: str, inputs: Sequence[str], *, segmenter: str | None = None, report: Reporter = silent) -> Path:
    """Quantise a model to int8, calibrated on a sample of the images, and write the network into the model's folder.

    Its checksum is added to the model's card.

    Args:
        model: a bundled model's name, or a model's folder.
        inputs: image files and folders; the sample is spread evenly over all images found.
        segmenter: used instead of the card's own; the card must allow it.
        report: receives progress (`core.events`).

    Returns:
        The network's `.xml` file; its weights are in the `.bin` file next to it.

    Raises:
        ModelError: there is no such classifier, it cannot be quantised, or NNCF is not installed.
        InputError: no image can be read.
        OutputError: the model's folder cannot be written.
    """
    folder = find_model(model)
    card = with_segmenter(read_card(folder), segmenter)
    if card.task != "classify":
        raise ModelError(f"{card.name} is a segmentation model", fix="name the classifier that uses it")
    found = discover(
        list(inputs),
        base=resolve_base(list(inputs)),
        labels="none",
        classes=card.architecture.classes,
        on_problem=lambda message: report(Warn(message)),
    )
    files = sorted(found, key=lambda file: file.path)
    sample = islice(files, 0, None, max(1, len(files) // VIEWS))
    most = ClassifyOptions().max_pixels
    return make_int8(folder, card, image_views(sample, card, most), into=folder, report=report).path
