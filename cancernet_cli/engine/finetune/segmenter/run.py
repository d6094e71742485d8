"""`cancernet finetune --task segment`: a U-Net from images with masks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from cancernet_cli.core.cards import Card, Decision, Training, Use, Weights
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.events import Reporter, silent
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.options.recipes import Recipe
from cancernet_cli.core.records import Epoch, FinetuneResult
from cancernet_cli.data.splits.folds import SplitPart
from cancernet_cli.data.splits.pairs import Pair, list_pairs
from cancernet_cli.engine.finetune.checkpoints import open_checkpoints, path_facts
from cancernet_cli.engine.finetune.dataset.leaks import guard_pairs
from cancernet_cli.engine.finetune.dataset.reading import limits_of
from cancernet_cli.engine.finetune.figures import ON_LEAK
from cancernet_cli.engine.finetune.job import FinetuneJob, open_job
from cancernet_cli.engine.finetune.model_folder import NOT_FOR, command_line, make_folder, work_folder, write_model
from cancernet_cli.engine.finetune.segmenter.evaluation import HeldOutMasks, worse_than_otsu, write_evaluation
from cancernet_cli.engine.finetune.segmenter.overlap import (
    CUTS,
    CutChoice,
    Overlaps,
    by_folds,
    by_validation,
    overlaps,
)
from cancernet_cli.engine.finetune.segmenter.splits import card_splits, segmenter_parts
from cancernet_cli.engine.finetune.segmenter.unet import Trained, train_unet
from cancernet_cli.inference.malloc import keep_freed_memory
from cancernet_cli.outputs.reports.history import HISTORY_FILE, write_history
from cancernet_cli.segmentation.unet import UNet, move_cut


def train_segmenter(
    data: Sequence[str], options: FinetuneOptions, recipe: Recipe, report: Reporter = silent
) -> FinetuneResult:
    """Train a U-Net and test it on patients it was not trained on (see `finetune.segmenter.splits`).

    The number of epochs is fixed and the weights are their moving average: nothing is chosen on the test patients.
    With validation patients, the epoch that does best on them is kept.

    The probability threshold of a nucleus is the one of best Dice on patients that are neither trained nor tested on.
    The last layer is shifted so that it becomes 0.5 in the network that is written.

    Raises:
        InputError: a manifest or image cannot be used, or the given split leaks.
        ModelError, DeviceError, OptionError, OutputError, Interrupted: see `open_job` and `finetune`.
    """
    started = time.monotonic()
    if options.patient_pattern:
        raise OptionError(
            "--patient-pattern was given, but images with masks have their patients in the manifest",
            fix="omit it, and fill in the column patient",
        )
    job = open_job(data, options, recipe, report)
    pairs = list_pairs(data, check_split=not (options.resplit or options.allow_leak), timeout_s=options.file_timeout)
    guarded = guard_pairs(pairs, options, job.report)
    parts = segmenter_parts(pairs, guarded.groups, options)
    keep_freed_memory(job.runtime.device)
    facts = [(pair.patient, pair.split, path_facts(pair.image), path_facts(pair.mask)) for pair in pairs]
    checkpoints = open_checkpoints(options, recipe, facts, job.runtime, job.processes)
    held = HeldOutMasks(work_folder(options) / "held_out")
    measured = _Measured(held, {})
    history: list[Epoch] = []
    for part in parts:
        trained = train_unet(job, checkpoints, pairs, part)
        history += trained.history
        if job.processes.is_first:
            measured.add(trained, pairs, part, job)
    choice = CutChoice()
    if job.processes.is_first:
        choice = measured.choice(options.mask_threshold)
        move_cut(trained.network, choice.cut)
    card = _card(trained, choice, parts, pairs, guarded.leaks, job)
    if job.processes.is_first:
        make_folder(options.out)
        card = write_model(trained.network, card, options)
        write_history(history, options.out / HISTORY_FILE)
        write_evaluation(held, parts, pairs, choice.tested_at, card, history, job)
        shutil.rmtree(work_folder(options), ignore_errors=True)
    job.processes.wait()
    seconds = time.monotonic() - started
    patients = {patient for members in card.training.splits.values() for patient in members}
    return FinetuneResult(
        options.out, card.name, "segment", len(pairs), len(patients), seconds, choice.metrics, card.training.doubts
    )


@dataclass
class _Measured:
    """Overlaps with the truth: of each part's test pairs, by name, and of the validation pairs of a single split.

    held: keeps the probabilities of test pairs.
    """

    held: HeldOutMasks
    tested: dict[str, Overlaps]
    validated: Overlaps | None = None

    def add(self, trained: Trained, pairs: Sequence[Pair], part: SplitPart, job: FinetuneJob) -> None:
        """Run a trained U-Net on its part's validation and test pairs."""
        options = job.options
        unet = UNet(trained.network, trained.policy).eval()
        cuts = CUTS if options.mask_threshold is None else (options.mask_threshold,)
        measure = partial(overlaps, unet, limits=limits_of(options), report=job.report, cuts=cuts)
        if len(part.validate) and options.mask_threshold is None:  # they choose the threshold, without the baselines
            chosen = [pairs[row] for row in part.validate.tolist()]
            self.validated = measure(chosen, stage=f"validate {part.name}", against=())
        if len(part.test):
            chosen = [pairs[row] for row in part.test.tolist()]
            self.tested[part.name] = measure(chosen, stage=f"test {part.name}", keep=self.held.keep)

    def choice(self, given: float | None) -> CutChoice:
        """The threshold and the figures; `given` overrides the choice."""
        if "final" in self.tested:  # a single split: with folds, `final` has no test pairs
            return by_validation(self.tested["final"], self.validated, given)
        return by_folds(self.tested, given)


def _card(
    trained: Trained,
    choice: CutChoice,
    parts: Sequence[SplitPart],
    pairs: Sequence[Pair],
    leaks: tuple[str, ...],
    job: FinetuneJob,
) -> Card:
    return Card(
        name=job.options.out.resolve().name,
        task="segment",
        summary="Nuclei in H&E images.",
        paper="arXiv:1505.04597",
        architecture=trained.architecture,
        input=trained.policy,
        weights=Weights(started_from=trained.source.source),
        training=Training(
            command=command_line(job.data, job.options),
            seed=job.options.seed,
            images=len(parts[-1].train),
            group_by="patient",
            leaks=leaks,
            doubts=worse_than_otsu(choice.metrics),
            splits=card_splits(parts, pairs),
        ),
        decision=Decision(chosen_on=choice.chosen_on + (ON_LEAK if choice.chosen_on and leaks else "")),
        metrics=choice.metrics,
        use=Use(intended="Research on nuclei in H&E images; the mask of a classifier.", not_for=NOT_FOR),
    )
