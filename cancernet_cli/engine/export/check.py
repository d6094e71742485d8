"""Compare an exported file with the engine on the same pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from cancernet_cli.core.arrays import F64, Pixels
from cancernet_cli.core.cards import Card
from cancernet_cli.core.errors import InputError, ModelError
from cancernet_cli.core.events import Reporter, Warn, silent
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.data.loading.images import BatchDecoder
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.data.loading.views import make_views
from cancernet_cli.engine.bench.synthetic_images import field
from cancernet_cli.engine.classify.predictions import probabilities
from cancernet_cli.engine.export.base import Run
from cancernet_cli.engine.export.cascade import Exported
from cancernet_cli.inference.pipeline import load_pipeline, to_tensor
from cancernet_cli.inference.runtime import resolve
from cancernet_cli.inference.torch_runner import TorchRunner
from cancernet_cli.segmentation.unet import load_unet

MOST_IMAGES = 32  # of those given, spread evenly
DRAWN_IMAGES = 4  # where none are given
BATCH = 8
ROUNDED = 1e-4  # share of the values of views that may be rounded differently


def drawn_inputs(network: Exported) -> Pixels:
    """Drawn H&E-like images of the input's size, `[N, H, W, 3]` uint8."""
    return np.stack([field(seed, network.width_px, network.height_px) for seed in range(DRAWN_IMAGES)])


def real_inputs(network: Exported, card: Card, images: Sequence[str], report: Reporter = silent) -> Pixels:
    """Inputs from image files, `[N, H, W, 3]` uint8, at most one per image.

    Where the input is a view, the first view that the engine cuts from the image; otherwise the image if it has the
    input's size, and its middle if it is larger.

    Args:
        images: files and folders.

    Raises:
        InputError: no image can be read, or all are smaller than the input.
    """
    found = discover(
        list(images),
        base=resolve_base(list(images)),
        labels="none",
        classes=card.architecture.classes,
        on_problem=lambda message: report(Warn(message)),
    )
    files = sorted(found, key=lambda file: file.path)
    sample = list(islice(files, 0, None, max(1, -(-len(files) // MOST_IMAGES))))
    inputs = _views(sample, card) if network.is_view else _middles(sample, card, network)
    if not inputs:
        size = f"{network.width_px} x {network.height_px}"
        raise InputError(
            f"none of {len(sample)} images to check with can be read and has {size} pixels or more",
            fix="give --check images of that size or larger, or omit it to check with drawn images",
        )
    return np.stack(inputs)


def _views(files: list[FoundFile], card: Card) -> list[Pixels]:
    decoder = BatchDecoder(card.input, ClassifyOptions().max_pixels)
    batches = load_batches(([file] for file in files), decoder, workers=0)
    return [batch.pixels[0].numpy() for batch in batches if len(batch.pixels)]


def _middles(files: list[FoundFile], card: Card, network: Exported) -> list[Pixels]:
    decoder = BatchDecoder(card.input, ClassifyOptions().max_pixels, keep_originals=True)
    found = []
    for batch in load_batches(([file] for file in files), decoder, workers=0):
        for image in batch.originals:
            height, width = image.shape[:2]
            if height >= network.height_px and width >= network.width_px:
                top, left = (height - network.height_px) // 2, (width - network.width_px) // 2
                part = image[top : top + network.height_px, left : left + network.width_px]
                found.append(part.numpy().copy())
    return found


def engine_outputs(folder: Path, card: Card, network: Exported, inputs: Pixels) -> list[np.ndarray]:
    """What the engine computes for these inputs in float32 by PyTorch, in the order of the network's outputs.

    Args:
        inputs: `[N, H, W, 3]` uint8.
    """
    if card.task == "segment":
        unet = load_unet(folder)
        with torch.inference_mode():
            return [torch.cat([unet(to_tensor(one)) for one in torch.split(torch.from_numpy(inputs), BATCH)]).numpy()]
    views = inputs[:, None] if network.is_view else np.stack([make_views(image, card.input) for image in inputs])
    return _engine_on_views(folder, card, network, views)


def engine_on_own_views(folder: Path, card: Card, network: Exported, inputs: Pixels) -> list[np.ndarray]:
    """The same on the views that the network itself cuts.

    Raises:
        ModelError: they are not the engine's, apart from one step of brightness in one of 10,000 values: sums that are
            rounded at a tie may fall on the other side if they are added up in another order.
    """
    cut = getattr(network.module, "views", None)
    if cut is None:
        return engine_outputs(folder, card, network, inputs)
    views = np.stack([make_views(image, card.input) for image in inputs])
    with torch.inference_mode():
        own = cut(torch.from_numpy(inputs)).numpy().reshape(views.shape)
    apart = np.abs(own.astype(np.float32) - views)
    if apart.max() > 1 or (apart > 0).mean() > ROUNDED:
        raise ModelError(
            f"images of {network.width_px} x {network.height_px} pixels cannot be resized as the engine does "
            f"({(apart > 0).mean():.2%} of the values differ, by up to {apart.max():.0f})",
            fix="choose another --image-size, or export the model without it",
        )
    return _engine_on_views(folder, card, network, own.astype(np.uint8))


def _engine_on_views(folder: Path, card: Card, network: Exported, views: Pixels) -> list[np.ndarray]:
    """The engine's outputs for `[N, V, h, w, 3]` uint8."""
    images, count = views.shape[:2]
    runtime = resolve(ClassifyOptions(device="cpu", precision="fp32", batch_size=BATCH))
    runner = TorchRunner(load_pipeline(folder, card), runtime, want_mask=True)
    found = runner.start(torch.from_numpy(np.ascontiguousarray(views.reshape(-1, *views.shape[2:]))))()
    logits = found.logits.reshape(images, count, -1).mean(axis=1, dtype=np.float64)
    outputs = {"probabilities": probabilities(logits, card)}
    if found.novelty is not None:
        outputs["novelty"] = found.novelty.reshape(images, count).mean(axis=1)
    if found.mask is not None:
        outputs["mask"] = found.mask.reshape(images, count, *found.mask.shape[1:])
    return [outputs[name] for name in network.outputs]


def file_outputs(run: Run, inputs: Pixels) -> list[np.ndarray]:
    """What a file computes: for the first input alone, then in batches, as the number of images must not matter."""
    parts = [inputs[:1], *(inputs[i : i + BATCH] for i in range(1, len(inputs), BATCH))]
    return [np.concatenate(column) for column in zip(*map(run, parts), strict=True)]


def differences(names: Sequence[str], expected: list[np.ndarray], given: list[np.ndarray]) -> dict[str, float]:
    """The largest absolute difference of each output; infinite if its shape is wrong or it has values that are NaN.

    That of `novelty`, whose values have no upper limit, is relative to values above 1.
    """
    found = {}
    for name, wanted, got in zip(names, expected, given, strict=True):
        if wanted.shape != got.shape:
            found[name] = float("inf")
            continue
        apart: F64 = np.abs(wanted.astype(np.float64) - got)
        if name == "novelty":
            apart = apart / np.maximum(1, np.abs(wanted))
        found[name] = float(np.nan_to_num(apart, nan=np.inf).max())
    return found
