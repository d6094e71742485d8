"""One training of a U-Net: crops of images with masks, Dice and cross-entropy."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from cancernet_cli.classification import build_backbone
from cancernet_cli.classification.pretrained import Pretrained, fill, load_pretrained
from cancernet_cli.core.arrays import I64, Pixels
from cancernet_cli.core.cards import Architecture, InputPolicy
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.events import Note, Reporter
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.recipes import Recipe
from cancernet_cli.core.records import Epoch
from cancernet_cli.data.splits.folds import Part
from cancernet_cli.data.splits.pairs import Pair
from cancernet_cli.engine.finetune.checkpoints import Checkpoints
from cancernet_cli.engine.finetune.fit import fit_reported
from cancernet_cli.engine.finetune.model_folder import seed_everything
from cancernet_cli.engine.finetune.random_batches import crop_maker, random_batches, scaled_pair
from cancernet_cli.inference.runtime import PRECISIONS, Runtime
from cancernet_cli.metrics.overlap import dice, overlap_counts
from cancernet_cli.segmentation.unet import UNet, build_network
from cancernet_cli.training.augment import AugmentPolicy
from cancernet_cli.training.distributed import Processes
from cancernet_cli.training.loop import Group, Judgement, LoopPolicy, Task
from cancernet_cli.training.losses import dice_cross_entropy, share_of_pixels_right
from cancernet_cli.training.samplers import epoch_draws

DECODER_CHANNELS = (64, 48, 32, 16, 8)
BATCH = 8


@dataclass(frozen=True)
class Run:
    """What the trainings of one run share."""

    options: FinetuneOptions
    recipe: Recipe
    runtime: Runtime
    processes: Processes
    checkpoints: Checkpoints
    report: Reporter

    @property
    def max_pixels(self) -> int:
        """The largest image that is read."""
        return int(self.options.max_megapixels * 1e6)


@dataclass(frozen=True)
class Trained:
    """A U-Net, on the CPU in eval mode, and how its training went."""

    network: nn.Module
    policy: InputPolicy
    architecture: Architecture
    source: Pretrained
    history: list[Epoch]


def _start(options: FinetuneOptions, recipe: Recipe) -> tuple[nn.Module, InputPolicy, Architecture, Pretrained]:
    """The network with its encoder's first weights, and how it looks at pixels; the same for every training."""
    seed_everything(options.seed)
    architecture = Architecture(encoder=f"tu-{recipe.backbone}", decoder_channels=DECODER_CHANNELS)
    network = build_network(architecture)
    backbone = build_backbone(recipe.backbone, (0, 1, 2, 3, 4))
    source = load_pretrained(backbone, recipe.backbone, options.weights)
    encoder = getattr(getattr(network, "encoder", None), "model", None)
    inner = getattr(backbone, "network", None)
    if not isinstance(encoder, nn.Module) or not isinstance(inner, nn.Module):
        raise ModelError(f"{recipe.backbone} cannot be a U-Net's encoder", fix="choose a convolutional timm network")
    fill(encoder, inner.state_dict(), source.source)
    side = options.crop_px
    policy = InputPolicy(width_px=side, height_px=side, scale=recipe.scale, mean=source.mean, std=source.std)
    return network, policy, architecture, source


class Cropped(nn.Module):
    """Crops as the loader delivers them, `[B, h, w, 3]` uint8, to logits `[B, 1, h, w]`."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, policy: InputPolicy) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(policy.mean).reshape(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(policy.std).reshape(1, -1, 1, 1) * 255, persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """A permuted view of NHWC bytes is channels-last already; nothing is copied before the subtraction."""
        logits: Tensor = self.network((crops.permute(0, 3, 1, 2) - self.mean) / self.std)
        return logits


def train_unet(run: Run, pairs: Sequence[Pair], part: Part) -> Trained:
    """Train on a part's training pairs; with validation pairs, the epoch that does best on them is kept.

    A U-Net always goes through all its epochs: its validation loss wanders for many before the rate falls, and patience
    would stop it there.
    """
    options, runtime = run.options, run.runtime
    learned, validated = ([pairs[row] for row in rows.tolist()] for rows in (part.train, part.validate))
    network, policy, architecture, source = _start(options, run.recipe)
    checkpoint = run.checkpoints.of(
        part.name, network.state_dict(), [(str(pair.image), pair.patient) for pair in learned]
    )
    network.to(runtime.device).to(memory_format=torch.channels_last)
    if run.processes.count > 1 and runtime.device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    learner = Cropped(network, policy).to(runtime.device).train()
    maker = crop_maker(learned, policy.scale, options.crop_px, AugmentPolicy(), run.max_pixels)
    batch = options.batch_size if isinstance(options.batch_size, int) else BATCH
    steps = -(-len(learned) // batch)
    patients = len({pair.patient for pair in learned})
    run.report(Note(f"{part.name}: {len(learned)} images of {patients} patients, {run.recipe.epochs * steps} steps"))
    rows, nobody = np.zeros(len(learned), np.int64), np.zeros(len(learned), str)

    def order(epoch: int) -> I64:
        return epoch_draws(rows, nobody, "natural", steps * batch, seed=options.seed, epoch=epoch)

    def batches(first_epoch: int) -> Generator[tuple[Tensor, Tensor]]:
        crops = random_batches(
            maker,
            order,
            batch,
            seed=options.seed,
            first_epoch=first_epoch,
            processes=run.processes,
            runtime=runtime,
        )
        for pixels, masks in crops:
            yield pixels, masks[:, None].float() / 255

    fitted = fit_reported(
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
            judge=_judge_of(network, policy, validated, run) if validated else None,
        ),
        LoopPolicy(
            epochs=run.recipe.epochs,
            learning_rate=run.recipe.learning_rate,
            precision=PRECISIONS[runtime.precision],
        ),
        checkpoint=checkpoint,
        processes=run.processes,
        tensorboard=options.tensorboard,
        report=run.report,
    )
    return Trained(network.cpu(), policy, architecture, source, fitted.history)


class _Judge:
    """The validation pairs at the network's scale, each whole; Dice over the pixels of all of them."""

    def __init__(self, unet: nn.Module, examples: list[tuple[Pixels, Pixels]], device: torch.device) -> None:
        self.unet, self.examples, self.device = unet, examples, device

    def __call__(self) -> Judgement:
        losses, counts = [], []
        for image, mask in self.examples:
            pixels = torch.from_numpy(image).to(self.device).permute(2, 0, 1)[None].float() / 255
            truth = torch.from_numpy(mask).to(self.device)[None, None] >= 128
            probs = self.unet(pixels)
            losses.append(float(dice_cross_entropy(torch.logit(probs, eps=1e-6), truth)))
            counts.append(overlap_counts((probs >= 0.5).cpu().numpy(), truth.cpu().numpy()))
        both, found, true = np.asarray(counts).sum(axis=0)
        size = sum(mask.size for _, mask in self.examples)
        return Judgement(float(np.mean(losses)), accuracy=1 - float(found + true - 2 * both) / size, dice=dice(counts))


def _judge_of(network: nn.Module, policy: InputPolicy, pairs: list[Pair], run: Run) -> _Judge:
    unet = UNet(network, replace(policy, scale=1.0)).to(run.runtime.device)
    return _Judge(unet, [scaled_pair(pair, policy.scale, run.max_pixels) for pair in pairs], run.runtime.device)
