"""Fine-tuning of head and backbone on random views: once per fold and then on everything, or once on a single split."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch
from torch import nn

from cancernet_cli.classification import Classifier, build_classifier, heads
from cancernet_cli.classification.base import Backbone
from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.cards import Card
from cancernet_cli.core.events import Note
from cancernet_cli.core.records import Epoch
from cancernet_cli.data.splits.folds import SplitPart
from cancernet_cli.engine.finetune.checkpoints import Checkpoints, file_facts, open_checkpoints
from cancernet_cli.engine.finetune.dataset.labelled_images import Division, LabelledImages, TrainingOutcome, split_parts
from cancernet_cli.engine.finetune.dataset.reading import limits_of
from cancernet_cli.engine.finetune.domain import add_domain, some_rows
from cancernet_cli.engine.finetune.fit import fit_with_progress
from cancernet_cli.engine.finetune.frozen.features import FeatureExtractor
from cancernet_cli.engine.finetune.frozen.head import division_prefix
from cancernet_cli.engine.finetune.job import FinetuneJob
from cancernet_cli.engine.finetune.predict_views import CardViews
from cancernet_cli.engine.finetune.random_batches import ViewMaker, random_batches
from cancernet_cli.engine.finetune.repeats import divide
from cancernet_cli.engine.finetune.tuning_setup import (
    AUGMENTS,
    draw_seed,
    is_unset,
    judgement,
    learning_groups,
    set_statistics,
    training_network,
)
from cancernet_cli.inference.malloc import keep_freed_memory
from cancernet_cli.inference.pipeline import Pipeline
from cancernet_cli.inference.torch_runner import TorchRunner
from cancernet_cli.training.checkpoints import CheckpointFile
from cancernet_cli.training.losses import classification_loss, share_right
from cancernet_cli.training.novelty import NoveltyModel, fit_novelty
from cancernet_cli.training.samplers import draw_shares, epoch_draws
from cancernet_cli.training.task import Batch, Judgement, Task


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned classifier, on the device in eval mode.

    logits: row numbers of the images to `[n, K]`, the mean over the card's views. domain: to `[n, views, D]`, the
    features that novelty is computed from. best_epoch: from 1, the epoch of
    these averaged weights.
    """

    classifier: Classifier
    history: list[Epoch]
    best_epoch: int
    logits: Callable[[I64], F64]
    domain: Callable[[I64], F64]


def train_tuned(images: LabelledImages, backbone: Backbone, card: Card, job: FinetuneJob) -> TrainingOutcome:
    """Fine-tune on each fold's training part, then on all patients for the median of the folds' best epochs.

    With `--repeats` the folds of every division are trained.

    A killed run resumes from its checkpoints. Raises as `Tuner.tune`.
    """
    facts = map(file_facts, images.files)
    checkpoints = open_checkpoints(job.options, job.recipe, facts, job.runtime, job.processes)
    torch.manual_seed(job.options.seed)
    start = build_classifier(card.architecture)
    start.backbone.load_state_dict(backbone.state_dict())
    tuner = Tuner(images, card, job.segmenter(card.segmentation.segmenter), start, job, checkpoints)
    divisions = divide(images, job)
    logits = np.full((len(divisions), len(images.files), len(images.classes)), np.nan)
    history: list[Epoch] = []
    best: list[int] = []
    novelty = np.full(len(images.files), np.nan)

    def held_out(part: SplitPart) -> I64:
        return part.test if images.splits is None else np.concatenate([part.validate, part.test])

    def train(part: SplitPart, division: int = 0, stop_after: int | None = None) -> Tuned:
        tuned = tuner.tune(part, stop_after)
        history.extend(tuned.history)
        best.append(tuned.best_epoch)
        if len(rows := held_out(part)):
            logits[division, rows] = tuned.logits(rows)
        return tuned

    def learn_domain(tuned: Tuned, part: SplitPart) -> NoveltyModel:
        """By the weights of this training, which have not seen the held-out cases."""
        seen = some_rows(part.train)
        familiar = fit_novelty(tuned.domain(seen), images.groups[seen])
        if len(rows := held_out(part)):
            novelty[rows] = familiar.novelty(tuned.domain(rows))
        return familiar

    for number, folds in enumerate(divisions):
        for part in split_parts(replace(images, folds=folds), job.options, job.report):
            tuned = train(replace(part, name=f"{division_prefix(number)}{part.name}"), number)
            if number == 0:
                familiar = learn_domain(tuned, part)
            classifier = tuned.classifier.cpu()
    if images.splits is None:
        none = np.zeros(0, np.int64)
        everything = SplitPart("final", np.arange(len(images.files)), none, none)
        tuned = train(everything, stop_after=final_epochs(best))
        familiar = learn_domain(tuned, everything)
        classifier = tuned.classifier.cpu()
    domain = add_domain(classifier, familiar, novelty, images)
    repeats = tuple(Division(*one) for one in zip(divisions[1:], logits[1:], strict=True))
    return TrainingOutcome(images, logits[0], classifier, history, domain=domain, repeats=repeats)


def final_epochs(best: Sequence[int]) -> int:
    """For how many epochs to train on all patients: the median of the folds' best ones."""
    return max(1, round(median(best)))


@dataclass(frozen=True)
class Tuner:
    """Fine-tunes copies of one classifier on parts of the images.

    images: N readable ones. start: backbone and head with the weights to start from; never changed.
    """

    images: LabelledImages
    card: Card
    segmenter: nn.Module
    start: Classifier
    job: FinetuneJob
    checkpoints: Checkpoints

    def tune(self, part: SplitPart, stop_after: int | None = None) -> Tuned:
        """Train the head and the recipe's `unfreeze` deepest stages of the backbone on a part's `train` rows.

        Training sees what inference sees: random views of the card's size and scale go through `inference.pipeline`;
        the segmenter and all normalisation stay as in use, so batch statistics are not updated, unless the recipe's
        `tuning` has `batch_statistics`. With `validate` rows,
        the epoch of least loss on them is kept and patience may end the training; without, the last one. A head that
        standardises its input and has no statistics yet gets mean and deviation of the training views.

        Under `torchrun` each process takes its share of every batch, and of the validation images.

        Args:
            stop_after: epochs of the recipe after which to stop, as `final_epochs` gives them.

        Raises:
            InputError: a file can no longer be read.
            ModelError: the loss is no longer finite.
            Interrupted: a signal asked to stop; the same command resumes.
            OutputError: a checkpoint cannot be written, or belongs to another run.
        """
        job, runtime = self.job, self.job.runtime
        keep_freed_memory(runtime.device)
        classifier = copy.deepcopy(self.start)
        checkpoint = self._checkpoint(part, stop_after)
        pipeline = Pipeline(self.card, self.segmenter, classifier)
        runner = TorchRunner(pipeline, runtime)
        views = CardViews(self.images.files, self.card.input, limits_of(job.options), job.processes)
        resumes = job.processes.from_first(job.processes.is_first and checkpoint.read() is not None)
        if not resumes and is_unset(classifier.head):
            self._measure(classifier, part, views)
        task = self._task(part, pipeline, classifier, runner, views)
        fitted = fit_with_progress(task, job, checkpoint, patience=job.options.patience, stop_after=stop_after)
        extracting = TorchRunner(Pipeline(self.card, self.segmenter, self._extractor(classifier)), runtime)
        return Tuned(
            classifier,
            fitted.history,
            fitted.best_epoch,
            lambda rows: views.pooled(runner, rows),
            lambda rows: views.domain(extracting, rows),
        )

    def _extractor(self, classifier: Classifier) -> FeatureExtractor:
        return FeatureExtractor(classifier.backbone, heads[self.card.architecture.head].facts["reads"])

    def _checkpoint(self, part: SplitPart, stop_after: int | None) -> CheckpointFile:
        labels, patients = self.images.labels.tolist(), self.images.patients.tolist()
        facts = (part.train.tolist(), part.validate.tolist(), labels, patients, stop_after)
        seen = (self.card.architecture, self.card.input, self.card.segmentation)
        return self.checkpoints.of(part.name, self.start.state_dict(), facts, seen)

    def _measure(self, classifier: Classifier, part: SplitPart, views: CardViews) -> None:
        """Give the head the statistics of the features of the training views."""
        self.job.report(Note(f"{part.name}: measuring what the head standardises"))
        runner = TorchRunner(Pipeline(self.card, self.segmenter, self._extractor(classifier)), self.job.runtime)
        set_statistics(classifier.head, views.every(runner, part.train))

    def _task(
        self, part: SplitPart, pipeline: Pipeline, classifier: Classifier, runner: TorchRunner, views: CardViews
    ) -> Task:
        options, recipe = self.job.options, self.job.recipe
        labels, patients = self.images.labels, self.images.patients
        batch = options.batch_size if isinstance(options.batch_size, int) else recipe.tuning.batch
        steps = -(-len(part.train) // batch)

        def order(epoch: int) -> I64:
            draws = epoch_draws(
                labels[part.train], patients[part.train], recipe.sampling, steps * batch, seed=options.seed, epoch=epoch
            )
            return part.train[draws]

        def batches(first_epoch: int) -> Generator[Batch]:
            maker = ViewMaker(
                tuple(self.images.files), labels, self.card.input, AUGMENTS[recipe.augment], options.max_pixels
            )
            return random_batches(maker, order, batch, self.job, first_epoch=first_epoch)

        def judge() -> Judgement:
            weights = draw_shares(labels[part.validate], patients[part.validate], recipe.sampling)
            logits = views.pooled(runner, part.validate)
            return judgement(logits, labels[part.validate], weights, self.images.classes)

        counts = torch.from_numpy(np.bincount(labels[part.train], minlength=len(self.images.classes)))
        return Task(
            name=part.name,
            network=training_network(pipeline, recipe),
            learner=classifier,
            groups=learning_groups(classifier, self.card, recipe.unfreeze, recipe.epochs, recipe.tuning),
            batches=batches,
            steps=steps,
            images=steps * batch,
            loss=classification_loss(recipe.loss, counts, recipe.label_smoothing),
            right=share_right,
            judge=judge if len(part.validate) else None,
            seed=draw_seed(options.seed, part.name) if recipe.dropout else None,
        )
