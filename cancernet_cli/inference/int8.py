"""Quantise a model's networks to 8-bit integers after training."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from cancernet_cli.classification.base import heads
from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.cache import cache_root
from cancernet_cli.core.cards import Card, file_sha256
from cancernet_cli.core.errors import InputError, ModelError
from cancernet_cli.core.events import Note, Reporter, Warn, silent
from cancernet_cli.core.files import publish
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.images import BatchDecoder
from cancernet_cli.data.loading.load import load_batches

# OpenVINO is slow to import: only where it runs, while the workers are already decoding.
if TYPE_CHECKING:
    from cancernet_cli.inference.openvino_import import ov

VIEWS = 128  # for calibrating the ranges of activations; NNCF's own default is 300
FEW = 16
NETWORK_LAYERS = (
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
)


def is_all_exact(card: Card) -> bool:
    """Whether nothing in the model can be quantised without changing its decisions."""
    return card.segmentation.segmenter == "none" and _is_sensitive(card)


def _is_sensitive(card: Card) -> bool:
    """Whether the head reads statistics of feature maps, which int8 changes too much.

    Measured on BreakHis: probabilities change by 0.03 on average with the backbone in int8, by 0.003 with the U-Net
    alone.
    """
    return bool(heads[card.architecture.head].facts.get("int8_sensitive"))


def int8_file(folder: Path, card: Card) -> Path | None:
    """The quantised network of a model, in its folder or else in the cache; None if there is none yet."""
    shipped = folder / _name(card)
    if shipped.is_file():
        return shipped
    cached = _cached(card)
    return cached if cached.is_file() else None


def int8_sha256(path: Path) -> str:
    """SHA-256 over the SHA-256 checksums of both files of a quantised network."""
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
    """Quantise a model's networks and save them in the cache or in `into`.

    Post-training quantisation by NNCF (https://github.com/openvinotoolkit/nncf), calibrated on the first `VIEWS` views;
    the same views give the same network.

    Args:
        card: the folder's card, with the run's segmenter filled in.
        views: `[1, H, W, 3]` uint8 each, of images similar to those to be classified.

    Raises:
        ModelError: NNCF is not installed, or no part of this model can be quantised without loss of accuracy.
        InputError: there are no views.
    """
    from cancernet_cli.inference.openvino_import import ov
    from cancernet_cli.inference.openvino_model import openvino_model

    if is_all_exact(card):
        raise ModelError(
            f"{card.name} cannot be quantised without a segmenter: its head needs exact feature maps",
            fix="omit --precision int8",
        )
    views = list(islice(views, VIEWS))
    if not views:
        raise InputError("no readable image to quantise the model with", fix="pass a folder of readable images")
    if len(views) < FEW:
        report(Warn(f"{card.name} is calibrated on only {len(views)} views; use 100 or more similar images"))
    report(Note(f"quantising {card.name} to int8 on {len(views)} views"))
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
    """A converted pipeline with convolutions in int8; inputs that the head needs exactly stay fp32.

    Args:
        model: from `openvino_model`. views: `[1, H, W, 3]` uint8 each.
    """
    from cancernet_cli.inference.openvino_import import no_telemetry

    try:
        with no_telemetry():
            import nncf
    except ImportError:
        raise ModelError("--precision int8 requires NNCF", fix='pip install "cancernet[int8]"') from None
    logging.getLogger("nncf").setLevel(logging.ERROR)
    kept = _exact(model, card)
    # It draws progress bars on stdout, which is for data.
    with contextlib.redirect_stdout(io.StringIO()):
        found: ov.Model = nncf.quantize(
            model,
            nncf.Dataset(views),
            subset_size=len(views),
            ignored_scope=nncf.IgnoredScope(names=kept, validate=False),
        )
    return found


def _exact(model: ov.Model, card: Card) -> list[str]:
    """Names of operations that stay fp32: all but the segmenter's, or all but network layers; those of novelty too."""
    from cancernet_cli.inference.openvino_model import ancestors

    operations = [op for op in model.get_ops() if op.get_type_name() not in ("Constant", "Parameter", "Result")]
    segmenting = ancestors(model.outputs[2].get_node())
    if _is_sensitive(card):
        return [op.get_friendly_name() for op in operations if op.get_friendly_name() not in segmenting]
    measuring = ancestors(model.outputs[3].get_node()) - ancestors(model.outputs[0].get_node())
    return [
        op.get_friendly_name()
        for op in operations
        if op.get_type_name() not in NETWORK_LAYERS or op.get_friendly_name() in measuring
    ]


def image_views(files: Iterable[FoundFile], card: Card, max_pixels: int) -> Iterator[Pixels]:
    """The first view of each readable image; the others' rows in the table will have the reason."""
    decoder = BatchDecoder(card.input, max_pixels)
    for batch in load_batches(([file] for file in files), decoder, workers=0):
        if len(batch.pixels):
            yield batch.pixels[:1].numpy()


def _cached(card: Card) -> Path:
    from cancernet_cli.inference.openvino_model import cache_key

    return cache_root() / "int8" / cache_key(card) / _name(card)


def _name(card: Card) -> str:
    return f"int8_{card.segmentation.segmenter}.xml"
