"""One training of a U-Net on random crops of images with masks, by Dice and cross-entropy."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from cancernet_cli.classification import build_backbone
from cancernet_cli.classification.pretrained import Pretrained, fill, load_pretrained
from cancernet_cli.core.arrays import I64
from cancernet_cli.core.cards import Architecture, InputPolicy
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.events import Note
from cancernet_cli.core.records import Epoch
from cancernet_cli.data.splits.folds import SplitPart
from cancernet_cli.data.splits.pairs import Pair, read_pairs
from cancernet_cli.engine.finetune.checkpoints import Checkpoints
from cancernet_cli.engine.finetune.dataset.reading import limits_of
from cancernet_cli.engine.finetune.fit import fit_with_progress
from cancernet_cli.engine.finetune.job import FinetuneJob
from cancernet_cli.engine.finetune.random_batches import crop_maker, random_batches, scaled_pair
from cancernet_cli.inference.pipeline import to_tensor
from cancernet_cli.metrics.overlap import dice, overlap_counts
from cancernet_cli.segmentation.unet import UNet, build_network
from cancernet_cli.training.augment import AugmentPolicy
from cancernet_cli.training.losses import dice_cross_entropy, share_of_pixels_right
from cancernet_cli.training.samplers import epoch_draws
from cancernet_cli.training.task import Group, Judgement, Task

DECODER_CHANNELS = (64, 48, 32, 16, 8)
BATCH = 8


@dataclass(frozen=True)
class Trained:
    """A U-Net, on the CPU in eval mode, and its training history."""

    network: nn.Module
    policy: InputPolicy
    architecture: Architecture
    source: Pretrained
    history: list[Epoch]


def _start(job: FinetuneJob) -> tuple[nn.Module, InputPolicy, Architecture, Pretrained]:
    """The network with its encoder's initial weights, and its input policy; the same for every training."""
    options, recipe = job.options, job.recipe
    torch.manual_seed(options.seed)
    architecture = Architecture(encoder=f"tu-{recipe.backbone}", decoder_channels=DECODER_CHANNELS)
    network = build_network(architecture)
    backbone = build_backbone(recipe.backbone, (0, 1, 2, 3, 4))
    source = load_pretrained(backbone, recipe.backbone, options.weights)
    encoder = getattr(getattr(network, "encoder", None), "model", None)
    inner = getattr(backbone, "network", None)
    if not isinstance(encoder, nn.Module) or not isinstance(inner, nn.Module):
        raise ModelError(f"{recipe.backbone} cannot be the encoder of a U-Net", fix="choose a convolutional timm model")
    fill(encoder, inner.state_dict(), source.source)
    side = options.crop_px
    policy = InputPolicy(
        width_px=side, height_px=side, scale=recipe.scale, mpp=options.mpp, mean=source.mean, std=source.std
    )
    return network, policy, architecture, source


class Cropped(nn.Module):
    """From crops `[B, h, w, 3]` uint8 to logits `[B, 1, h, w]`."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, policy: InputPolicy) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(policy.mean).reshape(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(policy.std).reshape(1, -1, 1, 1) * 255, persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """The permuted NHWC bytes are channels-last already: the subtraction makes the first copy."""
        logits: Tensor = self.network((crops.permute(0, 3, 1, 2) - self.mean) / self.std)
        return logits


def train_unet(job: FinetuneJob, checkpoints: Checkpoints, pairs: Sequence[Pair], part: SplitPart) -> Trained:
    """Train on a part's training pairs; with validation pairs, the epoch that does best on them is kept.

    In a fold, which has none, the history has the figures on the held-out pairs; nothing is chosen by them.

    A U-Net always trains for all its epochs: its validation loss fluctuates for many before the learning rate falls,
    and patience would stop it there.

    Raises:
        InputError: a pair cannot be read, or its mask does not fit.
        ModelError: the backbone cannot be an encoder, or the loss is no longer finite.
        Interrupted: a signal asked to stop; the same command resumes.
    """
    options, runtime = job.options, job.runtime
    watched = part.validate if len(part.validate) or part.name == "final" else part.test
    learned, validated = ([pairs[row] for row in rows.tolist()] for rows in (part.train, watched))
    network, policy, architecture, source = _start(job)
    checkpoint = checkpoints.of(part.name, network.state_dict(), [(str(pair.image), pair.patient) for pair in learned])
    network.to(runtime.device).to(memory_format=torch.channels_last)
    if job.processes.count > 1 and runtime.device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    learner = Cropped(network, policy).to(runtime.device).train()
    maker = crop_maker(learned, policy.scale, options.crop_px, AugmentPolicy(), limits_of(options))
    batch = options.batch_size if isinstance(options.batch_size, int) else BATCH
    steps = -(-len(learned) // batch)
    patients = len({pair.patient for pair in learned})
    job.report(Note(f"{part.name}: {len(learned)} images of {patients} patients, {job.recipe.epochs * steps} steps"))
    rows, nobody = np.zeros(len(learned), np.int64), np.zeros(len(learned), str)

    def order(epoch: int) -> I64:
        return epoch_draws(rows, nobody, "natural", steps * batch, seed=options.seed, epoch=epoch)

    def batches(first_epoch: int) -> Generator[tuple[Tensor, Tensor]]:
        for pixels, masks in random_batches(maker, order, batch, job, first_epoch=first_epoch):
            yield pixels, masks[:, None].float() / 255

    fitted = fit_with_progress(
        Task(
            name=part.name,
            network=learner,
            learner=network,
            groups=[Group(tuple(network.parameters()))],
            batches=batches,
            steps=steps,
            images=steps * batch,
            loss=dice_cross_entropy,
            right=share_of_pixels_right,
            judge=_judge_of(network, policy, validated, job) if validated else None,
        ),
        job,
        checkpoint,
        select=bool(len(part.validate)),
    )
    return Trained(network.cpu(), policy, architecture, source, fitted.history)


def _judge_of(network: nn.Module, policy: InputPolicy, pairs: list[Pair], job: FinetuneJob) -> Callable[[], Judgement]:
    """Validation on whole images at the network's scale; Dice is pooled over all pixels."""
    device = job.runtime.device
    unet = UNet(network, replace(policy, scale=1.0)).to(device)
    examples = [*read_pairs(pairs, limits_of(job.options), partial(scaled_pair, scale=policy.scale))]

    def judge() -> Judgement:
        losses, counts = [], []
        for image, mask in examples:
            pixels = to_tensor(torch.from_numpy(image)[None].to(device))
            truth = torch.from_numpy(mask).to(device)[None, None] >= 128
            probs = unet(pixels)
            losses.append(float(dice_cross_entropy(torch.logit(probs, eps=1e-6), truth)))
            counts.append(overlap_counts((probs >= 0.5).cpu().numpy(), truth.cpu().numpy()))
        both, found, true = np.asarray(counts).sum(axis=0)
        size = sum(mask.size for _, mask in examples)
        return Judgement(float(np.mean(losses)), accuracy=1 - float(found + true - 2 * both) / size, dice=dice(counts))

    return judge
