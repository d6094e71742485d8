from dataclasses import replace

import numpy as np
import pytest
import torch

from cancernet_cli.core.cards import Abstain, Architecture, Card, Decision, without_abstaining
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import DecodedBatch, DecodedImage
from cancernet_cli.data.loading.quality import Quality
from cancernet_cli.engine.classify.predictions import Prediction, decide, predict
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.metrics.scores import softmax

CARD = Card(
    name="toy",
    task="classify",
    architecture=Architecture(classes=("benign", "malignant")),
    decision=Decision(positive="malignant", temperature=2.0, threshold=0.7),
)


def batch_of(*views: int | None) -> DecodedBatch:
    files = [FoundFile(f"{i}.png", b"", 1, 1) for i in range(len(views))]
    images = [
        Failure("read", "OSError", "gone") if v is None else DecodedImage(9, 9, v, Quality(100.0, 230.0, 0.8))
        for v in views
    ]
    return DecodedBatch(files, images, torch.empty(0))


def test_views_are_pooled_before_the_calibrated_softmax() -> None:
    logits = np.array([[0, 2], [0, 4], [1, 0]], np.float32)
    first, failed, second = predict(batch_of(2, None, 1), Outputs(logits, np.array([0.2, 0.4, 1.0]), None), CARD)
    assert isinstance(first, Prediction)
    assert isinstance(second, Prediction)
    # mean logit 3, temperature 2: 1 / (1 + exp(-1.5))
    assert first.probs[1] == pytest.approx(0.8175745, abs=1e-6)
    assert (first.label, second.label) == ("malignant", "benign")
    assert first.mask_fraction == pytest.approx(0.3)
    assert (first.views, second.views) == (slice(0, 2), slice(2, 3))
    assert isinstance(failed, Failure)


def test_non_finite_outputs_fail_that_image_alone() -> None:
    logits = np.array([[np.nan, 0], [0, 0]], np.float32)
    bad, good = predict(batch_of(1, 1), Outputs(logits, np.ones(2), None), CARD)
    assert bad == Failure("classify", "NonFiniteOutput", "the network output is not finite")
    assert isinstance(good, Prediction)


def test_the_threshold_decides_between_two_classes() -> None:
    assert decide(np.array([0.3, 0.7], np.float32), CARD) == "malignant"
    assert decide(np.array([0.31, 0.69], np.float32), CARD) == "benign"


ABSTAINING = replace(
    CARD, decision=replace(CARD.decision, abstain=Abstain(low=0.4, high=0.8, flags=("out_of_domain",)))
)


@pytest.mark.parametrize(
    ("malignant", "label"),
    [(0.39, "benign"), (0.4, "unsure"), (0.6, "unsure"), (0.8, "unsure"), (0.81, "malignant")],
)
def test_in_the_band_the_label_is_unsure(malignant: float, label: str) -> None:
    assert decide(np.array([1 - malignant, malignant], np.float32), ABSTAINING) == label


def test_a_flag_on_the_card_makes_the_label_unsure_whatever_the_probability() -> None:
    sure = np.array([0.01, 0.99], np.float32)
    assert decide(sure, ABSTAINING, ("mpp_assumed",)) == "malignant"
    assert decide(sure, ABSTAINING, ("mpp_assumed", "out_of_domain")) == "unsure"
    assert decide(sure, CARD, ("out_of_domain",)) == "malignant", "a card without abstention"
    assert decide(sure, without_abstaining(ABSTAINING), ("out_of_domain",)) == "malignant"


def test_with_more_classes_only_flags_make_it_unsure() -> None:
    decision = Decision(abstain=Abstain(flags=("no_tissue",)))
    card = Card(name="toy", task="classify", architecture=Architecture(classes=("a", "b", "c")), decision=decision)
    probs = np.array([0.2, 0.5, 0.3], np.float32)
    assert (decide(probs, card), decide(probs, card, ["no_tissue"])) == ("b", "unsure")


def test_with_more_classes_the_most_probable_wins() -> None:
    card = Card(name="toy", task="classify", architecture=Architecture(classes=("a", "b", "c")))
    assert decide(np.array([0.2, 0.5, 0.3], np.float32), card) == "b"


def test_softmax_survives_large_logits() -> None:
    np.testing.assert_allclose(softmax(np.array([1000.0, 1000.0])), [0.5, 0.5])
