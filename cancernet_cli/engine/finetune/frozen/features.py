"""Features of images from a frozen backbone, computed once and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from cancernet_cli import __version__
from cancernet_cli.classification import heads
from cancernet_cli.classification.base import Backbone
from cancernet_cli.classification.domain import domain_features
from cancernet_cli.core.cards import Card
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Note, Reporter, StageAdvanced, StageFinished, StageStarted, Warn
from cancernet_cli.core.interruption import check, requested
from cancernet_cli.core.options import LearningOptions
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, DecodedBatch, chunks
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.data.scales import scale_of
from cancernet_cli.engine.finetune.checkpoints import weights_digest
from cancernet_cli.engine.finetune.domain import chosen_views
from cancernet_cli.engine.finetune.frozen.augmented_copies import SeenImage, VariantDecoder
from cancernet_cli.engine.finetune.frozen.feature_store import Features, FeatureStore
from cancernet_cli.inference.pipeline import Pipeline
from cancernet_cli.inference.runtime import Runtime
from cancernet_cli.inference.torch_runner import TorchRunner


class ImageFeatures(NamedTuple):
    """values: `[A, F]`, which a head reads, of an image and its variants. domain: `[K, D]`, of K views, for novelty."""

    values: NDArray[np.floating]
    domain: NDArray[np.floating] | None = None


Rows = list[ImageFeatures | Failure]


class FeatureExtractor(nn.Module):
    """From normalised pixels to the features that a head's linear layer reads from the backbone's maps.

    In a pipeline, the novelty of a view is replaced by the features that novelty is computed from, `[B, D]`.
    """

    has_novelty = True

    def __init__(self, backbone: Backbone, reads: Callable[[list[Tensor]], Tensor]) -> None:
        super().__init__()
        self.backbone = backbone
        self.reads = reads

    def forward(self, pixels: Tensor) -> Tensor:
        """`[B, 3, H, W]` to `[B, F]` float32."""
        return self.reads(self.backbone(pixels)).float()

    def with_novelty(self, pixels: Tensor, colors: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[B, F]` of the head, and `[B, D]` of novelty, float32."""
        maps = self.backbone(pixels)
        return self.reads(maps).float(), domain_features(maps, colors)


def image_features(
    files: list[FoundFile],
    backbone: Backbone,
    segmenter: nn.Module,
    card: Card,
    options: LearningOptions,
    runtime: Runtime,
    report: Reporter,
    *,
    stage: str,
    folder: Path,
    variants: int = 0,
    with_fingerprints: bool = False,
) -> Features:
    """The features that the card's head reads of every readable image, averaged over its views.

    Pixels are processed as in `inference.pipeline`; workers decode while the network computes. Features are stored in
    `folder`, as float16 if the head reads whole maps; a killed run resumes there if files, options, card and weights
    are the same. The folder may be removed once the features are no longer needed. Images without features are
    omitted with a warning.

    Args:
        variants: augmented copies of each image. with_fingerprints: compute fingerprints from the same decoded pixels.

    Raises:
        InputError: no image could be read.
        Interrupted: Ctrl-C or SIGTERM; finished features are kept.
        OutputError: the folder has no space for them.
    """
    key = _key(files, backbone, card, options, runtime, variants)
    head = heads[card.architecture.head].facts
    store = FeatureStore(
        folder, key, len(files), np.float16 if head.get("large_features") else np.float32, with_fingerprints
    )
    pipeline = Pipeline(card, segmenter, FeatureExtractor(backbone, head["reads"]))
    runner = TorchRunner(pipeline, runtime)
    decoder = _decoder(card, options, variants, with_fingerprints)

    def compute(batch: DecodedBatch) -> Rows:
        answer = runner.start(batch.pixels)()
        read, seen = answer.logits, answer.novelty
        assert seen is not None
        found: Rows = []
        start = 0
        for image in batch.images:
            if isinstance(image, Failure):
                found.append(image)
                continue
            parts = cast(SeenImage, image).parts
            ends = start + np.cumsum(parts)
            values = np.stack([part.mean(axis=0) for part in np.split(read[start : ends[-1]], ends[:-1] - start)])
            found.append(ImageFeatures(values, chosen_views(seen[start : start + parts[0]])))
            start = int(ends[-1])
        return found

    return fill_store(store, files, decoder, compute, runtime, report, stage=stage)


def _decoder(card: Card, options: LearningOptions, variants: int, with_fingerprints: bool) -> VariantDecoder:
    return VariantDecoder(
        card.input,
        options.max_pixels,
        timeout_s=options.file_timeout,
        variants=variants,
        seed=options.seed,
        with_fingerprints=with_fingerprints,
    )


def fill_store(
    store: FeatureStore,
    files: list[FoundFile],
    decoder: BatchDecoder,
    compute: Callable[[DecodedBatch], Rows],
    runtime: Runtime,
    report: Reporter,
    *,
    stage: str,
) -> Features:
    """Compute the features that are not in the store yet; raises as `image_features`.

    Args:
        compute: from a batch to one entry per file.
    """
    if store.seen:
        report(Note(f"{stage}: {store.seen:,} of {len(files):,} images were done by an earlier run and are reused"))
    report(StageStarted(stage, len(files) - store.seen, "images"))
    batches = chunks(files[store.seen :], runtime.batch_size)
    for batch in load_batches(batches, decoder, workers=runtime.workers) if store.seen < len(files) else ():
        first = store.seen
        prints = [image.fingerprint if isinstance(image, SeenImage) else None for image in batch.images]
        rows = compute(batch)
        values = [row if isinstance(row, Failure) else row.values for row in rows]
        failed = store.add(values, prints, [None if isinstance(row, Failure) else row.domain for row in rows])
        for row, why in failed.items():
            report(Warn(f"{files[row].path} is omitted: {why}"))
        report(StageAdvanced(stage, store.seen - first, failed=len(failed)))
        if requested():
            store.commit()
            check("the features so far are kept")
    report(StageFinished(stage))
    features = store.features()
    if not len(features.rows):
        raise InputError(f"none of {len(files)} images could be read", fix="see the warnings above")
    return features


def files_digest(files: list[FoundFile]) -> str:
    """SHA-256 of the files' paths, sizes and modification times."""
    lines = "".join(f"{file.path}\0{file.size_bytes}\0{file.mtime_ns}\n" for file in files)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _key(
    files: list[FoundFile],
    backbone: Backbone,
    card: Card,
    options: LearningOptions,
    runtime: Runtime,
    variants: int,
) -> dict[str, Any]:
    """Everything that the features depend on."""
    network = card.architecture
    return {
        "version": __version__,
        "files": files_digest(files),
        "max_megapixels": options.max_megapixels,
        "network": {"backbone": network.backbone, "head": network.head, "levels": network.levels},
        "weights": weights_digest(backbone.state_dict()),
        "input": asdict(card.input),
        "scales": [scale_of(card.input, file.truth) for file in files] if card.input.scales else [],
        "segmentation": {
            "segmenter": card.segmentation.segmenter,
            "sha256": card.segmentation.sha256,
            "background_weight": card.segmentation.background_weight,
        },
        "precision": runtime.precision,
        "variants": [variants, options.seed] if variants else [],
    }
