"""The band in which labels are unsure: its promise over many simulated laboratories, and figures of what is covered."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.figures import figures_in
from cancernet_cli.metrics.abstention import MOST_ERROR, Band, coverage, covered_accuracy, fit_band, is_unsure
from cancernet_cli.metrics.groups import image_metrics
from cancernet_cli.metrics.intervals import clustered_bootstrap
from cancernet_cli.metrics.measure import function_of
from cancernet_cli.metrics.resampling import RESAMPLERS, Resampling
from cancernet_cli.metrics.scores import Scores

THRESHOLD = 0.5


def _cases(rng: np.random.Generator, benign: int, malignant: int, *, first: int = 0) -> tuple[I64, F64, I64]:
    """Labels, probabilities and cases; cases differ in size and difficulty, and images of one resemble each other."""
    labels, probs, of = [], [], []
    for number in range(benign + malignant):
        label, images = int(number >= benign), int(rng.integers(1, 20))
        center = rng.normal((-1.2, 1.2)[label], 1.0)
        labels += [label] * images
        probs += expit(center + rng.normal(0, 0.7, images)).tolist()
        of += [first + number] * images
    return np.array(labels), np.array(probs), np.array(of)


def _wrong(band: Band, labels: I64, probs: F64, of: I64, label: int) -> float:
    """Mean over the cases of a class of the share of their images that get the label of the other."""
    wrong = ~is_unsure(probs, band.low, band.high) & ((probs >= THRESHOLD) != labels)
    return float(np.mean([wrong[of == case].mean() for case in np.unique(of[labels == label])]))


@pytest.mark.parametrize(("benign", "malignant", "error"), [(12, 20, 0.1), (40, 40, 0.05), (10, 22, 0.15)])
def test_the_promise_holds_on_new_cases(benign: int, malignant: int, error: float) -> None:
    rng = np.random.default_rng(0)
    held: list[list[float]] = [[], []]
    for _ in range(150):
        band = fit_band(*_cases(rng, benign, malignant), threshold=THRESHOLD, error=error)
        assert band is not None
        assert band.error == error
        new = _cases(rng, 8, 8)
        for label in (0, 1):
            held[label].append(_wrong(band, *new, label))
    for found in held:  # over 1,200 new cases of 150 laboratories: three standard errors of chance
        assert np.mean(found) <= error + 3 * np.std(found) / len(found) ** 0.5
        assert np.mean(found) >= error / 4, "the band is no wider than the promise needs"


def test_without_a_band_the_promise_would_be_broken() -> None:
    rng = np.random.default_rng(0)
    none = Band(THRESHOLD, THRESHOLD, 0.1, 1.0, None, (0, 0))
    assert np.mean([_wrong(none, *_cases(rng, 8, 8), 0) for _ in range(100)]) > 0.15


def test_by_hand() -> None:
    labels = [0] * 10 + [1] * 10
    probs = [0.1] * 8 + [0.6, 0.7] + [0.2, 0.3] + [0.9] * 8
    # Nine cases of each class and an error of 0.2 allow shares of 0.2 * 10 - 1 = 1 in sum; the ninth has two images.
    cases = [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 10, 10, 11, 12, 13, 14, 15, 16, 17, 18]
    band = fit_band(labels, probs, cases, threshold=0.5, error=0.2)
    assert band == Band(0.5, 0.5, 0.2, 1.0, pytest.approx(16 / 18), (9, 9))
    # 0.1 allows none, so every benign image that is called malignant has to be in the band, and the other way round.
    assert (band := fit_band(labels, probs, cases, threshold=0.5, error=0.1)) is not None
    assert (band.low, band.high, band.cases) == (0.2, 0.7, (9, 9))
    assert band.coverage == pytest.approx(16 / 18), "cases 8 and 10 are not covered"
    assert band.covered_accuracy == 1


def test_too_few_cases_get_the_smallest_promise_that_can_be_kept() -> None:
    rng = np.random.default_rng(1)
    band = fit_band(*_cases(rng, 10, 30), threshold=0.5, error=0.05)
    assert band is not None
    assert band.error == pytest.approx(1 / 11)
    assert fit_band(*_cases(rng, 3, 30), threshold=0.5, error=0.05).error == MOST_ERROR  # type: ignore[union-attr]
    assert fit_band(*_cases(rng, 2, 30), threshold=0.5, error=0.05) is None
    assert fit_band(*_cases(rng, 0, 30), threshold=0.5, error=0.05) is None


def test_every_case_weighs_the_same() -> None:
    """One benign case of 1,000 images, all of them wrong, counts as one of ten."""
    labels = np.array([0] * 1_009 + [1] * 10)
    probs = np.array([0.9] * 1_000 + [0.1] * 9 + [0.95] * 10)
    cases = np.array([0] * 1_000 + list(range(1, 10)) + list(range(20, 30)))
    assert fit_band(labels, probs, cases, threshold=0.5, error=0.2).high == 0.5  # type: ignore[union-attr]
    assert fit_band(labels, probs, cases, threshold=0.5, error=0.1).high == 0.9  # type: ignore[union-attr]


def test_cases_may_have_images_of_both_classes() -> None:
    rng = np.random.default_rng(2)
    labels, probs, of = _cases(rng, 20, 20)
    band = fit_band(labels, probs, of % 20, threshold=0.5, error=0.1)
    assert band is not None
    assert band.cases == (20, 20)
    assert (band.low, band.high) == tuple(
        vars(fit_band(labels, probs, of, threshold=0.5, error=0.1))[name] for name in ("low", "high")
    )


def test_limits_belong_to_the_band_and_a_band_without_width_is_empty() -> None:
    probs = np.array([0.1, 0.2, 0.3, 0.7, 0.71], np.float32)
    assert is_unsure(probs, 0.2, 0.7).tolist() == [False, True, True, True, False]
    assert not is_unsure(probs, 0.3, 0.3).any()
    assert not is_unsure(probs, None, None).any()
    assert is_unsure(np.float32(0.5), 0.2, 0.7)


def test_figures_of_the_covered_leave_unsure_images_out() -> None:
    scores = Scores.of(
        labels=[0, 0, 0, 1, 1, 1],
        probs=[0.1, 0.6, 0.8, 0.9, 0.4, 0.2],
        counts=[2, 1, 1, 3, 1, 1],
        unsure=[False, True, False, False, True, False],
        patients=[0, 0, 1, 2, 2, 3],
    )
    found = image_metrics(scores)
    assert found["unsure"] == 2
    assert (found["coverage"].value, found["coverage"].count) == (pytest.approx(7 / 9), 9)
    assert (found["covered_accuracy"].value, found["covered_accuracy"].count) == (pytest.approx(5 / 7), 7)
    assert found["covered_recall"].value == pytest.approx(3 / 4)
    assert found["covered_specificity"].value == pytest.approx(2 / 3)
    assert found["accuracy"].value == pytest.approx(5 / 9), "every decision is counted here"
    for name in ("coverage", "covered_accuracy", "covered_recall", "covered_specificity"):
        low, high = found[name].bounds
        assert low <= found[name].value <= high


def test_intervals_equal_those_measured_one_resample_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    labels, probs, of = _cases(rng, 6, 6)
    scores = Scores.of(labels, probs, patients=of, unsure=is_unsure(probs, 0.3, 0.6))
    specs = [spec for spec in figures_in("images") if spec.measured_from == "abstention"]
    assert len(specs) == 4
    fast = clustered_bootstrap(specs, scores, Resampling(100))
    for spec in specs:
        monkeypatch.delitem(RESAMPLERS, function_of(spec))
    slow = clustered_bootstrap(specs, scores, Resampling(100))
    for name, interval in fast.items():
        assert [interval.low, interval.high] == pytest.approx([slow[name].low, slow[name].high])


def test_without_unsure_images_there_is_nothing_to_add() -> None:
    found = image_metrics(Scores.of([0, 1], [0.1, 0.9]))
    assert not {"unsure", "coverage", "covered_accuracy"} & set(found)


def test_undefined_figures_say_why() -> None:
    all_unsure = Scores.of([0, 1], [0.4, 0.6], unsure=[True, True])
    assert coverage(all_unsure).value == 0
    assert (covered_accuracy(all_unsure).value, covered_accuracy(all_unsure).reason) == (None, "every image is unsure")
    one_class = image_metrics(Scores.of([0, 0], [0.4, 0.1], unsure=[True, False]))
    assert one_class["covered_recall"].reason == "no malignant image is covered"
    three = Scores.of([0, 1, 2], np.eye(3), classes=("a", "b", "c"), unsure=[True, False, False])
    assert image_metrics(three)["covered_recall"].reason == "there are more than two classes"
