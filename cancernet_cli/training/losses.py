"""Loss functions.

Those of segmentation_models_pytorch have other values: its Dice is 0 for a batch without foreground, and its focal loss
treats each class separately.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from cancernet_cli.core.choices import ClassLoss

Loss = Callable[[Tensor, Tensor], Tensor]
FOCUS = 2.0


def classification_loss(name: ClassLoss, counts: Tensor, smoothing: float = 0.0) -> Loss:
    """The loss of this name: from logits `[B, K]` and classes `[B]` to a float32 scalar, the mean over the batch.

    `weighted` multiplies each image's loss by the inverse frequency of its class, scaled so that the weights' mean over
    the training images is 1; it divides by the number of images, not by the sum of weights, so that equal shares of
    a batch average to the whole batch.

    Args:
        counts: `[K]` number of training images per class.
        smoothing: fraction of each label that is spread evenly over all classes (Szegedy et al.,
            arXiv:1512.00567), but for `focal`.
    """
    if name == "focal":
        return focal_loss
    if name == "cross-entropy":
        return lambda logits, target: F.cross_entropy(logits.float(), target, label_smoothing=smoothing)
    weights = class_weights(counts)

    def weighted(logits: Tensor, target: Tensor) -> Tensor:
        each = F.cross_entropy(logits.float(), target, reduction="none", label_smoothing=smoothing)
        return (each * weights.to(target.device)[target]).mean()

    return weighted


def class_weights(counts: Tensor) -> Tensor:
    """Inverse class frequencies, `[K]` float32, 1 on average over the images; 0 for a class without images."""
    present = (counts > 0).sum()
    return torch.where(counts > 0, counts.sum() / (present * counts.clamp(min=1)), 0.0).float()


def focal_loss(logits: Tensor, target: Tensor, *, gamma: float = FOCUS) -> Tensor:
    """Cross-entropy times `(1 - p) ** gamma`, p the true class's probability (Lin et al., arXiv:1708.02002).

    Args:
        logits: `[B, K]` float. target: `[B]` int64.

    Returns:
        A scalar, float32, the mean over the batch.
    """
    each = F.cross_entropy(logits.float(), target, reduction="none")
    return ((1 - torch.exp(-each)).clamp(min=0) ** gamma * each).mean()


def share_right(logits: Tensor, target: Tensor) -> Tensor:
    """Accuracy: fraction of logits `[B, K]` whose maximum is at the class `[B]`; a scalar."""
    return (logits.detach().argmax(dim=1) == target).float().mean()


def share_of_pixels_right(logits: Tensor, target: Tensor) -> Tensor:
    """Pixel accuracy of logits `[B, 1, H, W]` at probability 0.5; a scalar."""
    return ((logits.detach() >= 0) == (target >= 0.5)).float().mean()


def dice_cross_entropy(logits: Tensor, target: Tensor, *, smooth: float = 1.0) -> Tensor:
    """Binary cross-entropy plus one minus the soft Dice coefficient of the whole batch.

    The batch's pixels are pooled before the ratio is taken, so that a crop with few nuclei does not swing the loss
    (Milletari et al., arXiv:1606.04797, for the Dice term).

    Args:
        logits: `[B, 1, H, W]` float.
        target: `[B, 1, H, W]` float, 0 or 1.
        smooth: keeps the ratio defined without foreground, in pixels.

    Returns:
        A scalar, float32.
    """
    logits, target = logits.float(), target.float()
    probs = torch.sigmoid(logits)
    overlap = 2 * (probs * target).sum() + smooth
    dice = overlap / (probs.sum() + target.sum() + smooth)
    return F.binary_cross_entropy_with_logits(logits, target) + 1 - dice
