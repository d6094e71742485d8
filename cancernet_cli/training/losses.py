"""What training makes small."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def dice_cross_entropy(logits: Tensor, target: Tensor, *, smooth: float = 1.0) -> Tensor:
    """Binary cross-entropy plus one minus the soft Dice coefficient of the whole batch.

    The batch's pixels are pooled before the ratio is taken, so that a crop with few nuclei does not swing the loss
    (Milletari et al., arXiv:1606.04797, for the Dice term).

    Args:
        logits: `[B, 1, H, W]` float.
        target: `[B, 1, H, W]` float, 0 or 1.
        smooth: keeps the ratio defined where nothing is foreground, in pixels.

    Returns:
        A scalar, float32.
    """
    logits, target = logits.float(), target.float()
    probs = torch.sigmoid(logits)
    overlap = 2 * (probs * target).sum() + smooth
    dice = overlap / (probs.sum() + target.sum() + smooth)
    return F.binary_cross_entropy_with_logits(logits, target) + 1 - dice
