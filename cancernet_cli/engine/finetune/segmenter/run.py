"""`cancernet finetune --task segment`: a U-Net from images with masks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from cancernet_cli.core.cards import Card, Decision, Training, Use, Weights
from cancernet_cli.core.events import Reporter, silent
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.recipes import Recipe
from cancernet_cli.core.records import Epoch, FinetuneResult
from cancernet_cli.data.splits.pairs import list_pairs
from cancernet_cli.engine.finetune.checkpoints import open_checkpoints, path_facts
from cancernet_cli.engine.finetune.dataset.leaks import guard_pairs
from cancernet_cli.engine.finetune.figures import ON_LEAK
from cancernet_cli.engine.finetune.model_folder import NOT_FOR, command_line, read_about, write_model
from cancernet_cli.engine.finetune.segmenter.cutoff import CutChoice, by_folds, by_validation
from cancernet_cli.engine.finetune.segmenter.overlap import CUTS, Overlaps, overlaps
from cancernet_cli.engine.finetune.segmenter.splits import parts_of, splits_of
from cancernet_cli.engine.finetune.segmenter.unet import Run, train_unet
from cancernet_cli.inference.malloc import keep_freed_memory
from cancernet_cli.inference.runtime import resolve
from cancernet_cli.outputs.reports.history import write_history
from cancernet_cli.outputs.reports.tensorboard import check_board
from cancernet_cli.segmentation.unet import UNet, move_cut
from cancernet_cli.training.distributed import join_processes

HISTORY_FILE = "history.parquet"


def train_segmenter(
    data: Sequence[str], options: FinetuneOptions, recipe: Recipe, report: Reporter = silent
) -> FinetuneResult:
    """Train a U-Net and measure it on patients it was not trained on (`finetune.segmenter.splits` says on which).

    The number of epochs is given, and the weights are their moving average: nothing is chosen by the patients it is
    tested on. Where there are validation patients, the epoch that does best on them is kept.

    A pixel belongs to a nucleus from the probability on that gives the best Dice on patients that were not learned from
    and are not being tested on. The last layer is moved so that this is 0.5 in the network that is kept.
    """
    started = time.monotonic()
    read_about(options)
    check_board(options.tensorboard)
    processes = join_processes()
    report = report if processes.is_first else silent
    pairs = list_pairs(data, check_split=not (options.resplit or options.allow_leak))
    guarded = guard_pairs(pairs, options, report)
    parts = parts_of(pairs, guarded.groups, options)
    runtime = resolve(options)
    keep_freed_memory(runtime.device)
    facts = [(pair.patient, pair.split, path_facts(pair.image), path_facts(pair.mask)) for pair in pairs]
    checkpoints = open_checkpoints(options, recipe, facts, runtime, processes)
    run = Run(options, recipe, runtime, processes, checkpoints, report)
    cuts = CUTS if options.mask_cut is None else (options.mask_cut,)
    tested: dict[str, Overlaps] = {}
    validated: Overlaps | None = None
    history: list[Epoch] = []
    for part in parts:
        trained = train_unet(run, pairs, part)
        history += trained.history
        if processes.is_first:
            unet = UNet(trained.network, trained.policy).eval()
            look = partial(overlaps, unet, max_pixels=options.max_pixels, report=report, cuts=cuts)
            if len(part.validate) and options.mask_cut is None:  # they choose the cut; baselines have no part in that
                chosen = [pairs[row] for row in part.validate.tolist()]
                validated = look(chosen, stage=f"validate {part.name}", against=())
            if len(part.test):
                chosen = [pairs[row] for row in part.test.tolist()]
                tested[part.name] = look(chosen, stage=f"test {part.name}")
    splits = splits_of(parts, pairs)
    choice = CutChoice()
    if processes.is_first:
        if len(parts) > 1:
            choice = by_folds(tested, options.mask_cut)
        else:
            choice = by_validation(tested["final"], validated, options.mask_cut)
        move_cut(trained.network, choice.cut)
    patients = {patient for members in splits.values() for patient in members}
    card = Card(
        name=options.out.resolve().name,
        task="segment",
        summary="Nuclei in H&E images.",
        paper="arXiv:1505.04597",
        architecture=trained.architecture,
        input=trained.policy,
        weights=Weights(started_from=trained.source.source),
        training=Training(
            command=command_line(data, options),
            seed=options.seed,
            images=len(parts[-1].train),
            group_by="patient",
            leaks=guarded.leaks,
            splits=splits,
        ),
        decision=Decision(chosen_on=choice.chosen_on + (ON_LEAK if choice.chosen_on and guarded.leaks else "")),
        metrics=choice.metrics,
        use=Use(intended="Research on nuclei in H&E images; the mask of a classifier.", not_for=NOT_FOR),
    )
    if processes.is_first:
        card = write_model(trained.network, card, options)
        write_history(history, options.out / HISTORY_FILE)
        checkpoints.remove()
    processes.wait()
    seconds = time.monotonic() - started
    return FinetuneResult(options.out, card.name, "segment", len(pairs), len(patients), seconds, choice.metrics)
