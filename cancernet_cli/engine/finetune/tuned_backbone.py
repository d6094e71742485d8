"""Tuning of a pretrained classifier: its head, then its backbone's stages from the deepest, on random views."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from cancernet_cli.classification import Classifier, heads
from cancernet_cli.core.arrays import F64, I64, Strings
from cancernet_cli.core.cards import Card
from cancernet_cli.core.events import Note, Reporter, silent
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.recipes import Recipe
from cancernet_cli.core.records import Epoch, FoundFile
from cancernet_cli.data.splits.folds import Part
from cancernet_cli.engine.finetune.backbone_stages import backbone_stages
from cancernet_cli.engine.finetune.checkpoints import Checkpoints
from cancernet_cli.engine.finetune.fit import fit_reported
from cancernet_cli.engine.finetune.frozen.features import Reading
from cancernet_cli.engine.finetune.predict_views import CardViews
from cancernet_cli.engine.finetune.random_batches import ViewMaker, random_batches
from cancernet_cli.inference.malloc import keep_freed_memory
from cancernet_cli.inference.pipeline import Pipeline
from cancernet_cli.inference.runtime import PRECISIONS, Runtime
from cancernet_cli.inference.torch_runner import TorchRunner
from cancernet_cli.metrics.classification import auroc
from cancernet_cli.metrics.probabilities import softmax
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.training.augment import AugmentPolicy
from cancernet_cli.training.distributed import join_processes
from cancernet_cli.training.loop import Group, Judgement, LoopPolicy, Task
from cancernet_cli.training.losses import classification_loss, share_right
from cancernet_cli.training.samplers import draw_shares, epoch_draws
from cancernet_cli.training.schedules import thaw_epochs

BATCH = 16
# Less far than a U-Net's crops: a view must keep the texture that its label goes by.
AUGMENT = AugmentPolicy(
    zoom=(0.8, 1.25),
    zoom_chance=0.5,
    stain=0.25,
    light=0.15,
    own_stain_chance=0.5,
    blur=1.0,
    blur_chance=0.2,
    jpeg=(50, 95),
    jpeg_chance=0.3,
)
# The head learns alone for this share of the epochs, then one stage more after each such share.
THAW = 0.1
# Each stage learns at this times the rate of what is above it (Howard, Ruder, arXiv:1801.06146).
DEEPER = 0.5


@dataclass(frozen=True)
class Tuned:
    """A tuned classifier, on the device in eval mode.

    logits: rows of the files to `[n, K]`, mean over the card's views. best_epoch: from 1; whose averaged weights these
    are.
    """

    classifier: Classifier
    history: list[Epoch]
    best_epoch: int
    logits: Callable[[I64], F64]

    def state(self) -> dict[str, Tensor]:
        """The classifier's weights on the CPU, as `Classifier.load_state_dict` takes them."""
        return {name: value.detach().cpu().contiguous() for name, value in self.classifier.state_dict().items()}


class ViewLogits(nn.Module):
    """Views `[B, h, w, 3]` uint8 to logits `[B, K]`, the way that `inference.pipeline` goes."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self.pipeline = pipeline

    def forward(self, views: Tensor) -> Tensor:
        """Logits, float32."""
        logits: Tensor = self.pipeline(views).logits
        return logits


def tune(
    files: Sequence[FoundFile],
    labels: I64,
    patients: Strings,
    part: Part,
    *,
    recipe: Recipe,
    options: FinetuneOptions,
    card: Card,
    segmenter: nn.Module,
    start: Classifier,
    runtime: Runtime,
    checkpoints: Checkpoints,
    stop_after: int | None = None,
    report: Reporter = silent,
) -> Tuned:
    """Train the head and the `options.unfreeze` deepest stages of the backbone on a part's `train` rows.

    Training sees what inference sees: random views of the card's size and scale go through `inference.pipeline`, the
    segmenter and all normalisation as they are in use, so batch statistics are not learned anew. With `validate` rows,
    the epoch of least loss on them is kept and patience may end the training; without, the last one. A head that
    standardises its input and does not know how yet gets mean and deviation of the training views.

    Under `torchrun` each process takes its share of every batch, and of the images that are judged.

    Args:
        files: N readable ones. labels: `[N]`. patients: `[N]` names.
        start: a backbone with the weights to start from, and a head; it stays as it is.
        stop_after: epochs of `recipe.epochs` after which to stop, as `final_epochs` gives them.

    Raises:
        InputError: a file can no longer be read.
        ModelError: the loss is no longer a number.
        Interrupted: a signal asked to stop; the same command goes on.
        OutputError: a checkpoint cannot be written, or is of another run.
    """
    processes = join_processes()
    keep_freed_memory(runtime.device)
    classifier = copy.deepcopy(start)
    classes = card.architecture.classes
    facts = (part.train.tolist(), part.validate.tolist(), labels.tolist(), patients.tolist(), stop_after)
    seen = (card.architecture, card.input, card.segmentation)
    checkpoint = checkpoints.of(part.name, start.state_dict(), facts, seen)
    pipeline = Pipeline(card, segmenter, classifier)
    runner = TorchRunner(pipeline, runtime)
    views = CardViews(files, card.input, int(options.max_megapixels * 1e6), processes)

    known = processes.from_first(processes.is_first and checkpoint.read() is not None)
    if not known and _is_unset(classifier.head):
        report(Note(f"{part.name}: measuring what the head standardises"))
        reading = Reading(classifier.backbone, heads[card.architecture.head].facts["reads"])
        _standardise(classifier.head, views.every(TorchRunner(Pipeline(card, segmenter, reading), runtime), part.train))

    batch = options.batch_size if isinstance(options.batch_size, int) else BATCH
    steps = -(-len(part.train) // batch)
    own_labels, own_patients = labels[part.train], patients[part.train]

    def order(epoch: int) -> I64:
        draws = epoch_draws(own_labels, own_patients, recipe.sampling, steps * batch, seed=options.seed, epoch=epoch)
        return part.train[draws]

    def batches(first_epoch: int) -> Generator[tuple[Tensor, Tensor]]:
        return random_batches(
            ViewMaker(tuple(f.location for f in files), labels, card.input, AUGMENT, views.max_pixels),
            order,
            batch,
            seed=options.seed,
            first_epoch=first_epoch,
            processes=processes,
            runtime=runtime,
        )

    def judge() -> Judgement:
        weights = draw_shares(labels[part.validate], patients[part.validate], recipe.sampling)
        return judgement(views.pooled(runner, part.validate), labels[part.validate], weights, classes)

    counts = torch.from_numpy(np.bincount(own_labels, minlength=len(classes)))
    fitted = fit_reported(
        Task(
            name=part.name,
            network=ViewLogits(pipeline),
            learner=classifier,
            groups=learning_groups(classifier, card, options.unfreeze, recipe.epochs),
            batches=batches,
            steps=steps,
            images=steps * batch,
            loss=classification_loss(recipe.loss, counts),
            right=share_right,
            judge=judge if len(part.validate) else None,
        ),
        LoopPolicy(
            epochs=recipe.epochs,
            learning_rate=recipe.learning_rate,
            patience=options.patience,
            stop_after=stop_after,
            precision=PRECISIONS[runtime.precision],
        ),
        checkpoint=checkpoint,
        processes=processes,
        tensorboard=options.tensorboard,
        report=report,
    )
    return Tuned(classifier, fitted.history, fitted.best_epoch, lambda rows: views.pooled(runner, rows))


def final_epochs(best: Sequence[int]) -> int:
    """For how many epochs to train on all patients: the median of the folds' best ones."""
    return max(1, round(median(best)))


def learning_groups(classifier: Classifier, card: Card, unfreeze: int, epochs: int) -> list[Group]:
    """The head, then the backbone's `unfreeze` deepest stages, each later and slower than the one before."""
    stages = backbone_stages(classifier.backbone, card.architecture)[:unfreeze]
    starts = thaw_epochs(len(stages), epochs, THAW)
    return [
        Group(tuple(classifier.head.parameters())),
        *(Group(stage, DEEPER ** (k + 1), at) for k, (stage, at) in enumerate(zip(stages, starts, strict=True))),
    ]


def judgement(logits: F64, labels: I64, weights: F64, classes: Sequence[str]) -> Judgement:
    """Cross-entropy with weights `[n]` that add up to 1, accuracy and AUROC (None where a class is missing)."""
    probs = softmax(logits)
    true = np.log(np.maximum(probs[np.arange(len(labels)), labels], np.finfo(np.float64).tiny))
    area = auroc(Scores.of(labels, probs, classes=classes))["value"]
    return Judgement(
        loss=float(-(weights * true).sum()), accuracy=float((probs.argmax(axis=1) == labels).mean()), auroc=area
    )


def _is_unset(head: nn.Module) -> bool:
    """Whether a head standardises its input by mean 0 and deviation 1, as when it was made."""
    centre, spread = getattr(head, "centre", None), getattr(head, "spread", None)
    return isinstance(centre, Tensor) and isinstance(spread, Tensor) and not centre.any() and bool((spread == 1).all())


def _standardise(head: nn.Module, statistics: F64) -> None:
    """Give a head the mean and deviation of what it reads, `[V, F]`; what never varies keeps deviation 1."""
    deviation = statistics.std(axis=0)
    for name, values in (("centre", statistics.mean(axis=0)), ("spread", np.where(deviation > 1e-6, deviation, 1.0))):
        buffer = head.get_buffer(name)
        buffer.copy_(torch.from_numpy(values.astype(np.float32)))
