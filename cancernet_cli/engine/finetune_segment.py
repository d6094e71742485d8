"""`cancernet finetune --task segment`: a U-Net from images with masks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cancernet_cli.classification import build_backbone
from cancernet_cli.classification.pretrained import Pretrained, fill, load_pretrained
from cancernet_cli.core.cards import Architecture, Card, InputPolicy, Training, Use, Weights
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.events import Note, Reporter, StageAdvanced, StageFinished, StageStarted, silent
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.records import FinetuneResult
from cancernet_cli.data.pairs import Pair, list_pairs, read_pair
from cancernet_cli.data.splits import held_out_patients
from cancernet_cli.engine.finetune_folder import (
    NOT_FOR,
    check_interruption,
    command_line,
    read_about,
    seed_everything,
    write_model,
)
from cancernet_cli.engine.runtime import keep_freed_memory, resolve
from cancernet_cli.metrics.overlap import dice_by_patient, overlap_counts
from cancernet_cli.segmentation import segmenters
from cancernet_cli.segmentation.unet import UNet, build_network
from cancernet_cli.training.augment import AugmentPolicy, random_crop
from cancernet_cli.training.loop import LoopPolicy, fit
from cancernet_cli.training.losses import dice_cross_entropy

DECODER_CHANNELS = (96, 64, 48, 32, 16)
BATCH = 8
SCALE = 0.5
BASELINES = ("threshold", "watershed")

Example = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def train_segmenter(data: Sequence[str], options: FinetuneOptions, report: Reporter = silent) -> FinetuneResult:
    """Train a U-Net on the patients that are not held out, and measure it on those that are.

    Rows whose split is `test` are held out; without splits, a share of `1 / folds` of the patients, drawn by the seed.
    Nothing is chosen by the held-out patients: the number of steps is given, and the weights are their moving average.
    """
    started = time.monotonic()
    read_about(options)
    pairs = list_pairs(data)
    tested = _tested(pairs, options)
    train = [pair for pair in pairs if pair.patient not in tested]
    test = [pair for pair in pairs if pair.patient in tested]
    runtime = resolve(options)
    keep_freed_memory(runtime.device)
    seed_everything(options.seed)
    network, policy, architecture, source = _start(options)
    network.to(runtime.device).to(memory_format=torch.channels_last)
    _train(network, train, policy, options, runtime.device, report)
    network.cpu()
    metrics = _measure(UNet(network, policy).eval(), test, options, report)
    patients = sorted({pair.patient for pair in train})
    card = Card(
        name=options.out.name,
        task="segment",
        summary="Nuclei in H&E images.",
        paper="arXiv:1505.04597",
        architecture=architecture,
        input=policy,
        weights=Weights(started_from=source.source),
        training=Training(
            command=command_line(data, options),
            seed=options.seed,
            images=len(train),
            group_by="patient",
            splits={"train": patients, "test": sorted(tested)},
        ),
        metrics=metrics,
        use=Use(intended="Research on nuclei in H&E images; the mask of a classifier.", not_for=NOT_FOR),
    )
    card = write_model(network, card, options)
    seconds = time.monotonic() - started
    return FinetuneResult(options.out, card.name, "segment", len(pairs), len(patients) + len(tested), seconds, metrics)


def _tested(pairs: list[Pair], options: FinetuneOptions) -> set[str]:
    if any(pair.split for pair in pairs):
        return {pair.patient for pair in pairs if pair.split == "test"}
    return held_out_patients([pair.patient for pair in pairs], 1 / options.folds, options.seed)


def _start(options: FinetuneOptions) -> tuple[nn.Module, InputPolicy, Architecture, Pretrained]:
    """The network with its encoder's first weights, and how it looks at pixels."""
    architecture = Architecture(encoder=f"tu-{options.backbone}", decoder_channels=DECODER_CHANNELS)
    network = build_network(architecture)
    backbone = build_backbone(options.backbone, (0, 1, 2, 3, 4))
    source = load_pretrained(backbone, options.backbone, options.weights)
    encoder = getattr(getattr(network, "encoder", None), "model", None)
    inner = getattr(backbone, "network", None)
    if not isinstance(encoder, nn.Module) or not isinstance(inner, nn.Module):
        raise ModelError(f"{options.backbone} cannot be a U-Net's encoder", fix="choose a convolutional timm network")
    fill(encoder, inner.state_dict(), source.source)
    side = options.crop_px
    policy = InputPolicy(width_px=side, height_px=side, scale=options.scale or SCALE, mean=source.mean, std=source.std)
    return network, policy, architecture, source


def _train(
    network: nn.Module,
    pairs: list[Pair],
    policy: InputPolicy,
    options: FinetuneOptions,
    device: torch.device,
    report: Reporter,
) -> None:
    examples = [_shrunk(read_pair(pair, max_pixels=int(options.max_megapixels * 1e6)), policy.scale) for pair in pairs]
    steps = max(1, round(options.epochs * len(examples) / BATCH))
    report(Note(f"{len(examples)} images of {len({p.patient for p in pairs})} patients to learn from, {steps} steps"))
    report(StageStarted("train", steps, "steps"))

    def advance(step: int, loss: float) -> None:
        report(StageAdvanced("train", 1, figures={"loss": round(loss, 4)}))
        check_interruption()

    batches = _batches(examples, policy, options, device)
    fit(network, batches, steps, dice_cross_entropy, LoopPolicy(learning_rate=options.learning_rate), advance)
    report(StageFinished("train"))


def _batches(
    examples: list[Example], policy: InputPolicy, options: FinetuneOptions, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Normalised crops `[B, 3, side, side]` and their masks `[B, 1, side, side]`, without end."""
    rng = np.random.default_rng(options.seed)
    mean, std = (torch.tensor(v, device=device).reshape(1, 3, 1, 1) for v in (policy.mean, policy.std))
    waiting: list[int] = []
    while True:
        while len(waiting) < BATCH:
            waiting += rng.permutation(len(examples)).tolist()
        chosen, waiting = waiting[:BATCH], waiting[BATCH:]
        crops = [random_crop(*examples[i], options.crop_px, AugmentPolicy(), rng) for i in chosen]
        pixels = torch.from_numpy(np.stack([image for image, _ in crops])).to(device)
        masks = torch.from_numpy(np.stack([mask for _, mask in crops])).to(device)
        yield (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / std, masks[:, None].float() / 255


def _measure(unet: nn.Module, pairs: list[Pair], options: FinetuneOptions, report: Reporter) -> dict[str, object]:
    """Dice of the U-Net and of what needs no training, on the same held-out images at their full size."""
    judged = {"unet": unet, **{name: segmenters[name].factory(None) for name in BASELINES}}
    counts: dict[str, list[tuple[int, int, int]]] = {name: [] for name in judged}
    report(StageStarted("test", len(pairs), "images"))
    for pair in pairs:
        image, truth = read_pair(pair, max_pixels=int(options.max_megapixels * 1e6))
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        for name, segmenter in judged.items():
            with torch.inference_mode():
                mask = segmenter(pixels)[0, 0].numpy() >= 0.5
            counts[name].append(overlap_counts(mask, truth > 0))
        report(StageAdvanced("test", 1))
    report(StageFinished("test"))
    patients = [pair.patient for pair in pairs]
    found = {name: dice_by_patient(rows, patients) for name, rows in counts.items()}
    return {"test": {**found["unet"], "baselines": {name: found[name] for name in BASELINES}}}


def _shrunk(example: Example, scale: float) -> Example:
    """Image and mask at the scale at which the network looks."""
    if scale == 1:
        return example
    height, width = example[1].shape
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image, mask = (np.asarray(cv2.resize(a, size, interpolation=cv2.INTER_AREA), np.uint8) for a in example)
    return image, mask
