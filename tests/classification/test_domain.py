"""Novelty in the network: colors of the views, and the same numbers as the fit."""

from __future__ import annotations

import numpy as np
import torch

from cancernet_cli.classification import build_classifier
from cancernet_cli.classification.domain import color_statistics, domain_features, domain_width
from cancernet_cli.core.cards import Architecture
from cancernet_cli.engine.finetune.domain import fill_novelty
from cancernet_cli.training.novelty import fit_novelty
from tests.he_images import he_like


def views(count: int) -> torch.Tensor:
    return torch.stack([torch.from_numpy(he_like(i, 48, 64)) for i in range(count)]).permute(0, 3, 1, 2).float() / 255


def test_colors_are_statistics_of_optical_density() -> None:
    pixels = views(2)
    found = color_statistics(pixels).numpy()
    density = -np.log10(np.maximum(pixels.numpy()[:, :, ::2], 1 / 255))
    np.testing.assert_allclose(found[:, :3], density.mean(axis=(2, 3)), atol=1e-5)
    np.testing.assert_allclose(found[:, 3:6], density.std(axis=(2, 3)), atol=1e-4)
    np.testing.assert_allclose(found[:, 6:9], np.abs(np.diff(density, axis=3)).mean(axis=(2, 3)), atol=1e-5)
    red_green = np.corrcoef(density[0, 0].ravel(), density[0, 1].ravel())[0, 1]
    np.testing.assert_allclose(found[0, 9], red_green, atol=0.1)


def test_glass_and_black_have_finite_colors() -> None:
    assert torch.isfinite(color_statistics(torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)]))).all()


def test_a_classifier_gives_the_novelty_that_was_fitted() -> None:
    torch.manual_seed(0)
    architecture = Architecture(
        backbone="test_efficientnet", head="level_stats", levels=(1, 2), classes=("benign", "malignant")
    )
    classifier = build_classifier(architecture).eval()
    pixels = views(12)
    with torch.inference_mode():
        colors = color_statistics(pixels)
        features = domain_features(classifier.backbone(pixels), colors)
        assert features.shape == (12, domain_width(classifier.backbone.channels))
        model = fit_novelty(features.numpy()[:, None], np.arange(12).astype(str)).limited(3.0)
        assert not classifier.has_novelty
        fill_novelty(classifier, model)
        assert classifier.has_novelty
        logits, novelty = classifier.with_novelty(pixels, colors)
        assert torch.equal(logits, classifier(pixels))
    np.testing.assert_allclose(novelty.numpy(), model.novelty(features.numpy()[:, None]), rtol=1e-3)
