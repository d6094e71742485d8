"""Classify images in memory: arrays, tensors, Pillow images and files, without writing anything."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from cancernet_cli.core import interruption
from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.cards import CARD_FILE, file_sha256
from cancernet_cli.core.errors import InputError, OptionError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, silent
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import ClassifyOptions, flag_name
from cancernet_cli.core.options.base import chosen
from cancernet_cli.core.options.sinks import with_sinks
from cancernet_cli.core.records import Failure, FoundFile, Truth
from cancernet_cli.core.results import Result
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.inputs import parse_inputs, resolve_base
from cancernet_cli.data.loading.images import BatchDecoder, DecodedBatch, chunks
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.data.readers.base import BadImage
from cancernet_cli.data.readers.pixels import pillow_to_rgb
from cancernet_cli.data.readers.read import check_size
from cancernet_cli.data.splits.training_images import TrainingImages
from cancernet_cli.engine.classify.batches import NO_ANSWER, files_per_batch
from cancernet_cli.engine.classify.flags import split_flags
from cancernet_cli.engine.classify.job import open_model
from cancernet_cli.engine.classify.predictions import predict as predict_batch
from cancernet_cli.engine.classify.predictions import record_batch
from cancernet_cli.engine.provenance import result_state
from cancernet_cli.inference.int8 import find_int8
from cancernet_cli.inference.open import open_runner
from cancernet_cli.inference.runtime import resolve, with_library
from cancernet_cli.outputs.tables.predictions import table_schema

STAGE = "classify"
_KINDS = "a [H, W, 3] uint8 array or tensor, a Pillow image, or the path of an image file"


@dataclass(frozen=True)
class Predictions(Result):
    """What a model predicts for some images, in their order.

    Attributes:
        model: The model's name.
        classes: The classes, in the order of the columns of `probabilities`.
        rows: One row per image, with the columns of the predictions table.
    """

    model: str
    classes: tuple[str, ...]
    rows: pa.Table

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def table(self) -> pa.Table:
        """One row per image, with the columns of the predictions table."""
        return self.rows

    @property
    def probabilities(self) -> np.ndarray:
        """Calibrated probabilities, `[N, K]` float32; NaN for an image that failed."""
        columns = [self.rows[f"prob_{name}"].to_numpy(zero_copy_only=False) for name in self.classes]
        return np.column_stack(columns).astype(np.float32)

    @property
    def labels(self) -> list[str | None]:
        """The label of each image: a class, `unsure`, or None if it failed."""
        found: list[str | None] = self.rows["label"].to_pylist()
        return found

    @property
    def flags(self) -> list[tuple[str, ...]]:
        """The reasons to distrust each prediction (docs/table.md)."""
        return [tuple(split_flags(joined)) for joined in self.rows["flags"].to_pylist()]

    @property
    def errors(self) -> list[str]:
        """Why each image failed; empty if it did not."""
        found: list[str] = self.rows["error"].to_pylist()
        return found

    def _facts(self) -> dict[str, Any]:
        labels = self.labels
        counts = {name: labels.count(name) for name in dict.fromkeys(label or "failed" for label in labels)}
        return {"model": self.model, "images": len(self), **counts}


class Classifier:
    """A loaded model that classifies images in memory; for many calls, so that networks are loaded once.

    Args:
        options: Model, segmenter, device and the like; options about files and slides have no effect.

    Raises:
        CancernetError: The model or the device does not exist or does not fit the options.
    """

    def __init__(self, options: ClassifyOptions | None = None, report: Reporter = silent, **changes: Any) -> None:
        options = chosen(with_sinks(ClassifyOptions), options, changes)
        if sinks := options.sink_folders():
            flag = flag_name(next(iter(sinks)))
            raise OptionError(
                f"{flag} was given, but predictions in memory write no files", fix="call classify instead"
            )
        folder, self.card = open_model(options)
        runtime = with_library(resolve(options, self.card), options.runtime, self.card)
        int8 = find_int8(folder, self.card) if runtime.precision == "int8" else None
        if runtime.precision == "int8" and int8 is None:
            raise OptionError(
                f"{self.card.name} has no int8 network yet",
                fix="classify a folder with precision int8 once, or run cancernet models quantise",
            )
        state = result_state(self.card, folder, options, runtime)
        state |= {"int8_sha256": int8.sha256} if int8 else {}
        self.options, self.runtime = options, runtime
        self._schema = table_schema(self.card.architecture.classes, dict(sorted(state.items())))
        self._decoder = BatchDecoder(
            self.card.input,
            options.max_pixels,
            shrink=options.jpeg_scale == "auto",
            training_images=TrainingImages.read(folder),
            timeout_s=options.file_timeout,
        )
        # `files=1`: as for a short run of `classify`, nothing is compiled, which would take longer than the images.
        self._runner = open_runner(folder, self.card, runtime, int8=int8, files=1, report=report)

    def predict(
        self,
        images: Any,
        report: Reporter = silent,
        *,
        magnification: float | None = None,
        mpp: float | None = None,
    ) -> Predictions:
        """Classify images; see `cancernet_cli.predict`."""
        truth = Truth(magnification=magnification, mpp=mpp)
        size = files_per_batch(self.card, self.runtime.batch_size)
        rows = []
        total = 1 if _is_one(images) else len(images) if isinstance(images, Sized) else None
        report(StageStarted(STAGE, total, "images"))
        for work in chunks(_numbered(images), size):
            interruption.check()
            batch = self._decoded(work, truth)
            answer = self._runner.start(batch.pixels)() if len(batch.pixels) else NO_ANSWER
            found = predict_batch(batch, answer, self.card)
            rows.append(record_batch(batch, found, self.card, self._schema))
            report(StageAdvanced(STAGE, len(work), sum(isinstance(one, Failure) for one in found)))
        report(StageFinished(STAGE))
        if not rows:
            raise InputError("no image was given", fix=f"pass {_KINDS}, or several of them")
        table = pa.Table.from_batches(rows, self._schema).unify_dictionaries().combine_chunks()
        return Predictions(self.card.name, tuple(self.card.architecture.classes), table)

    def _decoded(self, work: list[tuple[int, Any]], truth: Truth) -> DecodedBatch:
        """Views of some images: files are read in a worker, where a damaged one can do no harm."""
        files = [[_file(item, truth, self.options)] for _, item in work if _is_path(item)]
        read = load_batches(files, self._decoder, workers=0) if files else iter(())
        return self._decoder.join(
            [next(read) if _is_path(item) else self._seen(number, item, truth) for number, item in work]
        )

    def _seen(self, number: int, item: Any, truth: Truth) -> DecodedBatch:
        """An image that is in memory already, named by its number."""
        file = FoundFile(f"image {number}", b"", 0, 0, truth)
        is_pillow = isinstance(item, Image.Image)
        array = None if is_pillow else _array(number, item)
        try:
            pixels, flags = pillow_to_rgb(item) if array is None else (array, ())
            check_size(pixels.shape[1], pixels.shape[0], self.options.max_pixels)
            decoded, views = self._decoder.look_at(file, np.ascontiguousarray(pixels))
        except BadImage as error:
            return self._decoder.lost([file], Failure.of("check", error))
        except Exception as error:  # as of a file: one bad image never ends a run
            return self._decoder.lost([file], Failure.of("decode", error))
        return DecodedBatch([file], [replace(decoded, flags=tuple(flags))], torch.from_numpy(views))


def predict(
    images: Any,
    options: ClassifyOptions | None = None,
    report: Reporter = silent,
    *,
    magnification: float | None = None,
    mpp: float | None = None,
    **changes: Any,
) -> Predictions:
    """Classify images in memory, with the same result as `classify` of the same images as PNG files.

    The model is kept for the next call with the same options.

    Args:
        images: One image or several, also as a generator: NumPy arrays and PyTorch tensors `[H, W, 3]` uint8 (RGB),
            or `[N, H, W, 3]` for N images; Pillow images; paths of image files.
        options: Defaults to the bundled model on the best device. Options about slides and outputs have no effect.
        report: Called with progress, notes and warnings (`core.events`).
        magnification: Of the objective, for models that need it; default: from the file's name, if that has it.
        mpp: Micrometers per pixel, likewise; it takes precedence.
        changes: Options by name that override `options`, as in `predict(image, model="models/mine")`.

    Returns:
        Probabilities, labels and flags, one of each per image.

    Raises:
        InputError: There are no images, or one is neither an array, a Pillow image nor the path of an image file.
        CancernetError: The model or the device does not exist or does not fit the options.
    """
    wanted = chosen(with_sinks(ClassifyOptions), options, changes)
    card = find_model(wanted.model) / CARD_FILE
    classifier = _classifier(wanted, file_sha256(card) if card.is_file() else "")
    return classifier.predict(images, report, magnification=magnification, mpp=mpp)


@functools.lru_cache(maxsize=1)
def _classifier(options: ClassifyOptions, card_sha256: str) -> Classifier:
    """The classifier of the last call; another card at the same place is another model."""
    return Classifier(options)


def _numbered(images: Any) -> Iterator[tuple[int, Any]]:
    """Each image with its number, from 0."""
    if _is_one(images):
        images = [images]
    elif not isinstance(images, Iterable):
        raise InputError(f"cannot classify {type(images).__name__}", fix=f"pass {_KINDS}, or several of them")
    yield from enumerate(images)


def _is_one(images: Any) -> bool:
    is_array = isinstance(images, (np.ndarray, torch.Tensor))
    return _is_path(images) or isinstance(images, Image.Image) or (is_array and images.ndim < 4)


def _is_path(item: Any) -> bool:
    return isinstance(item, (str, os.PathLike))


def _array(number: int, item: Any) -> Pixels:
    """The pixels of an array or tensor.

    Raises:
        InputError: it is neither, or has another shape or type of numbers.
    """
    array = item.detach().cpu().numpy() if isinstance(item, torch.Tensor) else item
    if not isinstance(array, np.ndarray):
        raise InputError(f"image {number} is of type {type(item).__name__}", fix=f"pass {_KINDS}")
    if array.ndim != 3 or array.shape[2] != 3:
        is_first = array.ndim == 3 and array.shape[0] == 3
        fix = "move the channels last, as in x.transpose(1, 2, 0)" if is_first else "pass RGB, [H, W, 3]"
        raise InputError(f"image {number} has the shape {list(array.shape)}", fix=fix)
    if array.dtype != np.uint8:
        raise InputError(f"image {number} has numbers of type {array.dtype}", fix="pass uint8, from 0 to 255")
    return array


def _file(path: str | os.PathLike[str], truth: Truth, options: ClassifyOptions) -> FoundFile:
    """An image file, with the magnification that its name has unless one is given.

    Raises:
        InputError: there is no such file, or it is a folder, a list or a slide.
    """
    (one,) = parse_inputs([os.fspath(path)])
    found = None
    if one.kind == "file":
        found = next(discover([one], base=resolve_base([one]), labels="none", classes=(), kind=options.kind), None)
    if found is None or found.kind == "slide":
        what = "a slide" if found else f"a {one.kind}"
        raise InputError(f"{os.fspath(path)!r} is {what}, not an image", fix="classify it with the function classify")
    return replace(found, truth=replace(truth, magnification=truth.magnification or found.truth.magnification))
