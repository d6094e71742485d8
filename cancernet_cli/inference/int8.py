"""A model's networks in 8-bit integers: quantised after training, shipped beside the weights or made on first use."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.cache import cache_root
from cancernet_cli.core.cards import Card, file_sha256
from cancernet_cli.core.errors import InputError, ModelError
from cancernet_cli.core.events import Note, Reporter, Warn, silent
from cancernet_cli.core.files import publish
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.views import make_views
from cancernet_cli.data.readers import UnreadableImage, read_image

# OpenVINO is imported only where it runs, while a run's workers decode already.
if TYPE_CHECKING:
    from cancernet_cli.inference.openvino_import import ov

VIEWS = 128  # to learn the ranges of activations from; NNCF's own default is 300
FEW = 16
# Heads that read statistics of feature maps: 8 bits change those more than the decision bears. Measured on BreakHis:
# probabilities move by 0.03 on average with the backbone in int8, by 0.003 with the U-Net alone.
SENSITIVE_HEADS = ("correlations", "level_stats")


def int8_file(folder: Path, card: Card) -> Path | None:
    """The quantised network of a model: in its folder, else in the cache; None where it has not been made."""
    shipped = folder / _name(card)
    if shipped.is_file():
        return shipped
    cached = _cached(card)
    return cached if cached.is_file() else None


def int8_sha256(path: Path) -> str:
    """SHA-256 over the SHA-256 of both files of a quantised network."""
    both = file_sha256(path) + file_sha256(path.with_suffix(".bin"))
    return hashlib.sha256(both.encode()).hexdigest()


def make_int8(
    folder: Path,
    card: Card,
    views: Iterable[Pixels],
    *,
    into: Path | None = None,
    report: Reporter = silent,
) -> Path:
    """Quantise a model's networks, and keep them in the cache or in `into`.

    Post-training quantisation by NNCF (https://github.com/openvinotoolkit/nncf): activations' ranges come from the
    first `VIEWS` of the views, so the same views give the same network.

    Args:
        card: the folder's card, with the run's segmenter filled in.
        views: `[1, h, w, 3]` uint8 each, of images as those that will be classified.

    Raises:
        ModelError: NNCF is not installed, or nothing in this model can be quantised without harm.
        InputError: there is no view.
    """
    from cancernet_cli.inference.openvino_import import ov
    from cancernet_cli.inference.openvino_model import openvino_model

    if card.segmentation.segmenter == "none" and card.architecture.head in SENSITIVE_HEADS:
        raise ModelError(
            f"{card.name} without a segmenter has nothing to quantise: its head needs exact maps",
            fix="leave --precision int8 away",
        )
    views = list(islice(views, VIEWS))
    if not views:
        raise InputError("no image could be read to quantise the model with", fix="name a folder of readable images")
    if len(views) < FEW:
        report(Warn(f"{card.name} is quantised by {len(views)} views only; some hundred images of the kind are better"))
    report(Note(f"quantising {card.name} to int8 by {len(views)} views"))
    network = quantised(openvino_model(folder, card, report), card, views)
    path = into / _name(card) if into else _cached(card)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        made = Path(scratch) / path.name
        ov.save_model(network, made, compress_to_fp16=False)
        for suffix in (".bin", ".xml"):
            publish(made.with_suffix(suffix), path.with_suffix(suffix), durable=False)
    return path


def quantised(model: ov.Model, card: Card, views: list[Pixels]) -> ov.Model:
    """A converted pipeline with its convolutions in int8; what the head needs exactly stays fp32.

    Args:
        model: as `openvino_model` gives it. views: `[1, h, w, 3]` uint8 each.
    """
    from cancernet_cli.inference.openvino_import import unreported

    try:
        with unreported():
            import nncf
    except ImportError:
        raise ModelError("--precision int8 needs NNCF", fix='pip install "cancernet[int8]"') from None
    logging.getLogger("nncf").setLevel(logging.ERROR)
    kept = _exact(model, card)
    # Its progress bars go to stdout, which is for data.
    with contextlib.redirect_stdout(io.StringIO()):
        found: ov.Model = nncf.quantize(
            model,
            nncf.Dataset(views),
            subset_size=len(views),
            ignored_scope=nncf.IgnoredScope(names=kept, validate=False),
        )
    return found


def _exact(model: ov.Model, card: Card) -> list[str]:
    """Names of the operations that stay fp32: all but the segmenter's, or all that are no layers of a network."""
    operations = [op for op in model.get_ops() if op.get_type_name() not in ("Constant", "Parameter", "Result")]
    segmenting = _ancestors(model.outputs[2].get_node())
    if card.architecture.head in SENSITIVE_HEADS:
        return [op.get_friendly_name() for op in operations if op.get_friendly_name() not in segmenting]
    layers = {
        "Convolution",
        "GroupConvolution",
        "Add",
        "Concat",
        "Relu",
        "Clamp",
        "MaxPool",
        "AvgPool",
        "Interpolate",
        "Pad",
    }
    return [op.get_friendly_name() for op in operations if op.get_type_name() not in layers]


def _ancestors(node: Any) -> set[str]:
    """Names of everything that a node's value comes from."""
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if at.get_friendly_name() not in seen:
            seen.add(at.get_friendly_name())
            waiting += [value.get_node() for value in at.input_values()]
    return seen


def image_views(files: Iterable[FoundFile], card: Card, max_pixels: int) -> Iterator[Pixels]:
    """The first view of each image that can be read."""
    for file in files:
        if file.problem is not None:
            continue
        try:
            image = read_image(file.location, max_pixels=max_pixels)
        except UnreadableImage:
            continue  # its row will say why
        yield make_views(image, card.input)[:1]


def _cached(card: Card) -> Path:
    from cancernet_cli.inference.openvino_model import cache_key

    return cache_root() / "int8" / cache_key(card) / _name(card)


def _name(card: Card) -> str:
    return f"int8_{card.segmentation.segmenter}.xml"
