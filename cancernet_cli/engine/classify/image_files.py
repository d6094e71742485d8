"""The files that output sinks write for the images of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cancernet_cli.core.cards import Card
from cancernet_cli.core.files import real_path
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import DecodedBatch, DecodedImage
from cancernet_cli.data.loading.views import stitch
from cancernet_cli.data.scales import image_mpp, image_policy
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.predictions import Prediction
from cancernet_cli.engine.explain.explanations import Explanations
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.outputs.side_files import side_path
from cancernet_cli.outputs.sink import ImageResult


def image_writes(
    batch: DecodedBatch,
    predictions: list[Prediction | Failure],
    answer: Outputs,
    job: Job,
    explanations: Explanations | None = None,
) -> list[Callable[[], None]]:
    """One write per sink and image that has a prediction; each makes its file when called."""
    sinks = [sink for sink in job.sinks if sink.writes("image")]
    writes: list[Callable[[], None]] = []
    originals = iter(batch.originals)
    for file, image, prediction in zip(batch.files, batch.images, predictions, strict=True):
        if not sinks or not isinstance(image, DecodedImage):
            continue
        original = next(originals, None)
        if isinstance(prediction, Failure):
            continue
        result = ImageResult(
            path=file.path,
            classes=tuple(job.card.architecture.classes),
            label=prediction.label,
            probs=prediction.probs,
            true_label=file.truth.label,
            pixels=None if original is None else original.numpy(),
            flags=prediction.flags,
            mask=functools.cache(functools.partial(_mask, answer.mask, prediction.views, file, image, job.card)),
            model=job.card.name,
            segmenter=job.card.segmentation.segmenter,
            positive=job.card.decision.positive,
            threshold=job.card.decision.threshold if job.card.decision.positive else None,
            unsure=_unsure_band(job.card),
            mpp=image_mpp(job.card.input, file.truth),
        )
        if explanations is not None:
            views = batch.pixels[prediction.views]
            result = replace(result, explanation=explanations.of_image(views, result.shown_class, file, image))
        for sink in sinks:
            path = side_path(sink.folder, real_path(file.path), sink.entry.facts["suffix"])
            writes.append(functools.partial(sink.sink.write_image, result, path))
    return writes


def _unsure_band(card: Card) -> tuple[float, float] | None:
    """The probabilities of the positive class between which the card abstains; None for no such band."""
    abstain = card.decision.abstain
    if not card.decision.positive or abstain is None or abstain.low is None or abstain.high is None:
        return None
    return abstain.low, abstain.high


def _mask(
    masks: np.ndarray | None, views: slice, file: FoundFile, image: DecodedImage, card: Card
) -> np.ndarray | None:
    """The mask of the whole image; None where nothing was segmented."""
    if masks is None or card.segmentation.segmenter == "none":
        return None
    return stitch(masks[views], image.width_px, image.height_px, image_policy(card.input, file.truth))
