"""Quantise a model's networks to 8-bit integers after training."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from cancernet_cli.classification.base import heads
from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.cache import cache_entry, cache_root, find_cached
from cancernet_cli.core.cards import CARD_FILE, Card, card_text, read_card
from cancernet_cli.core.errors import InputError, ModelError, OutputError
from cancernet_cli.core.events import Note, Reporter, Warn, silent
from cancernet_cli.core.files import publish, write_bytes
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.images import BatchDecoder
from cancernet_cli.data.loading.load import load_batches

# OpenVINO is slow to import: only where it runs, while the workers are already decoding.
if TYPE_CHECKING:
    from cancernet_cli.inference.openvino_import import ov

VIEWS = 128  # for calibrating the ranges of activations; NNCF's own default is 300
FEW = 16
CACHED = "int8"  # subfolder of the cache
REMAKE = "make it again with `cancernet models quantise`"
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


@dataclass(frozen=True)
class Int8Network:
    """A quantised network on disk.

    path: its `.xml` file, with the weights in the `.bin` file next to it. sha256: over the SHA-256 of both.
    """

    path: Path
    sha256: str

    @classmethod
    def at(cls, path: Path) -> Int8Network:
        """The network in a file, as it is now; raises OSError if one of its two files cannot be read."""
        return cls(path, _checksum(path.read_bytes(), path.with_suffix(".bin").read_bytes()))

    def read(self) -> ov.Model:
        """The network, read once, checked, and loaded from the bytes that were checked.

        Raises:
            ModelError: a file is missing, or has changed.
        """
        from cancernet_cli.inference.openvino_import import ov

        try:
            layers, weights = self.path.read_bytes(), self.path.with_suffix(".bin").read_bytes()
        except OSError as error:
            raise ModelError(f"{error.filename} cannot be read: {error.strerror}", fix=REMAKE) from None
        if _checksum(layers, weights) != self.sha256:
            raise ModelError(f"{self.path} or its .bin file has changed since it was made", fix=REMAKE)
        try:
            return ov.Core().read_model(layers, weights)
        except RuntimeError:  # made by a newer OpenVINO, for example
            raise ModelError(f"{self.path} cannot be read by this version of OpenVINO", fix=REMAKE) from None


def _checksum(layers: bytes, weights: bytes) -> str:
    both = "".join(hashlib.sha256(content).hexdigest() for content in (layers, weights))
    return hashlib.sha256(both.encode()).hexdigest()


def find_int8(folder: Path, card: Card) -> Int8Network | None:
    """The quantised network of a model, in its folder or else in the cache; None if there is none yet.

    Raises:
        ModelError: the one in the folder is not the one that the card names by its checksum.
    """
    shipped, pinned = folder / _name(card), (card.weights.int8 or {}).get(card.segmentation.segmenter)
    if pinned is None and not shipped.is_file():
        return _find_cached(card)
    if pinned is None:
        raise ModelError(f"{shipped} is not in its card, so its origin is unknown", fix=REMAKE)
    try:
        found = Int8Network.at(shipped)
    except OSError as error:
        raise ModelError(f"{error.filename} cannot be read: {error.strerror}", fix=REMAKE) from None
    if found.sha256 != pinned:
        raise ModelError(f"{shipped} has SHA-256 {found.sha256[:12]}..., its card has {pinned[:12]}...", fix=REMAKE)
    return found


def _find_cached(card: Card) -> Int8Network | None:
    """The network in the cache; None if there is none that can be trusted, of which `make_int8` warns."""
    try:
        entry = find_cached(CACHED, _key(card))
        return Int8Network.at(entry / _name(card)) if entry else None
    except OSError:
        return None


def make_int8(
    folder: Path,
    card: Card,
    views: Iterable[Pixels],
    *,
    into: Path | None = None,
    report: Reporter = silent,
) -> Int8Network:
    """Quantise a model's networks and save them in the cache, or in `into` with their checksum in the card there.

    Post-training quantisation by NNCF (https://github.com/openvinotoolkit/nncf), calibrated on the first `VIEWS` views;
    the same views give the same network.

    Args:
        card: the folder's card, with the run's segmenter filled in.
        views: `[1, H, W, 3]` uint8 each, of images similar to those to be classified.

    Raises:
        ModelError: NNCF is not installed, or no part of this model can be quantised without loss of accuracy.
        InputError: there are no views.
        OutputError: the cache or the folder cannot be written.
    """
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
    return _save_next_to_card(network, card, into) if into else _save_in_cache(network, card, report)


def _save_in_cache(network: ov.Model, card: Card, report: Reporter) -> Int8Network:
    """Raises OutputError if the cache cannot be used."""
    from cancernet_cli.inference.openvino_model import save_openvino

    try:
        entry = cache_entry(CACHED, _key(card), lambda folder: save_openvino(network, folder / _name(card)), report)
        return Int8Network.at(entry / _name(card))
    except OSError as error:
        raise OutputError(
            f"{cache_root() / CACHED} cannot be used as a cache: {error.strerror}",
            fix="set CANCERNET_CACHE to another folder",
        ) from None


def _save_next_to_card(network: ov.Model, card: Card, folder: Path) -> Int8Network:
    """Raises OutputError if the folder cannot be written."""
    from cancernet_cli.inference.openvino_model import save_openvino

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch, _name(card))
            save_openvino(network, made)
            for suffix in (".bin", ".xml"):
                publish(made.with_suffix(suffix), (folder / made.name).with_suffix(suffix), durable=False)
        found = Int8Network.at(folder / _name(card))
        _pin(folder, card.segmentation.segmenter, found.sha256)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror}",
            fix="copy the model's folder to a writable place, and name the copy",
        ) from None
    return found


def _pin(folder: Path, segmenter: str, sha256: str) -> None:
    """Name the network in the folder's card, which has the checksums of all that is loaded with it."""
    card = read_card(folder)
    pins = {**(card.weights.int8 or {}), segmenter: sha256}
    write_bytes(folder / CARD_FILE, card_text(replace(card, weights=replace(card.weights, int8=pins))).encode())


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


def _key(card: Card) -> str:
    from cancernet_cli.inference.openvino_model import cache_key

    return cache_key(card)


def _name(card: Card) -> str:
    return f"int8_{card.segmentation.segmenter}.xml"
