"""OpenCV's resizing of 8-bit images as tensor operations, for graphs that have to give the same pixels.

How OpenCV computes and rounds depends on its version and on the libraries it was built with. Linear interpolation is in
fixed point, with weights in 1/2048 and fractions cut off on the way (modules/imgproc/src/resize.cpp), so that rounding
a plain interpolation would change one pixel in eight by one; cubic interpolation is in fixed or in floating point; a
half is rounded up or to the even number. So each way is tried on an image, and the one that gives OpenCV's pixels is
taken.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from cancernet_cli.core.arrays import F32
from cancernet_cli.core.pixels import ResizeStep, interpolate

FIXED = 2048  # a weight of 1 in OpenCV's fixed point


def resizing(width_px: int, height_px: int, step: ResizeStep) -> nn.Module:
    """A step of resizing as a module: `[N, 3, H, W]` float32 to `[N, 3, h, w]`, whole numbers from 0 to 255.

    Args:
        width_px, height_px: W and H.
    """
    ways: list[nn.Module] = [_Weighted(width_px, height_px, step, half_up=half_up) for half_up in (False, True)]
    if step.how in ("linear", "cubic"):
        ways.append((_FixedLinear if step.how == "linear" else _FixedCubic)(width_px, height_px, step))
    image = np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = torch.from_numpy(interpolate(image, step)).permute(2, 0, 1)[None]
    return min(ways, key=lambda way: int((way(pixels) != expected).sum()))


def _weights(side_px: int, step_px: int, step: ResizeStep) -> F32:
    """`[step_px, side_px]`: the weight of each pixel of a side in each pixel of the resized one."""
    unit = np.eye(side_px, dtype=np.float32)
    return interpolate(unit, ResizeStep(side_px, step_px, step.how))


def _linear_weights(side_px: int, step_px: int) -> F32:
    """The same for linear interpolation, with OpenCV's single precision: it decides how ties are rounded."""
    at = ((np.arange(step_px) + 0.5) * (1.0 / (step_px / side_px)) - 0.5).astype(np.float32)
    left = np.clip(np.floor(at).astype(np.int64), 0, side_px - 1)
    share = np.where((at < 0) | (left == side_px - 1), 0, at - left)
    weights = np.zeros((step_px, side_px), np.float32)
    weights[np.arange(step_px), left] = 1 - share
    weights[np.arange(step_px), np.minimum(left + 1, side_px - 1)] += share
    return weights


class _Weighted(nn.Module):
    """Weighted sums of rows and columns, rounded at the end."""

    rows: Tensor
    columns: Tensor

    def __init__(self, width_px: int, height_px: int, step: ResizeStep, *, half_up: bool) -> None:
        super().__init__()
        self.half_up = half_up
        rows, columns = _weights(height_px, step.height_px, step), _weights(width_px, step.width_px, step)
        self.register_buffer("rows", torch.from_numpy(rows), persistent=False)
        self.register_buffer("columns", torch.from_numpy(columns.T.copy()), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """`[N, 3, H, W]` to `[N, 3, h, w]`."""
        found = (self.rows @ (pixels @ self.columns)).clamp(0, 255)
        return torch.floor(found + 0.5) if self.half_up else torch.round(found)


class _Taps(nn.Module):
    """The pixels that each pixel of a resized side depends on, and their weights in fixed point."""

    def __init__(self, side_px: int, step_px: int, step: ResizeStep, dim: int) -> None:
        super().__init__()
        is_linear = step.how == "linear"
        weights = _linear_weights(side_px, step_px) if is_linear else _weights(side_px, step_px, step)
        weights = np.rint(weights * FIXED)
        self.dim = dim
        self.count = max(1, int((weights != 0).sum(axis=1).max()))
        at = np.sort(np.argsort(weights == 0, axis=1, kind="stable")[:, : self.count], axis=1)
        shape = (-1, 1) if dim == 2 else (1, -1)
        for tap in range(self.count):
            weight = np.take_along_axis(weights, at[:, tap : tap + 1], axis=1).reshape(shape)
            self.register_buffer(f"at_{tap}", torch.from_numpy(at[:, tap].copy()), persistent=False)
            self.register_buffer(f"weight_{tap}", torch.from_numpy(weight.astype(np.float32)), persistent=False)

    def forward(self, pixels: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each tap, the pixels and their weights."""
        return [
            (pixels.index_select(self.dim, self.get_buffer(f"at_{tap}")), self.get_buffer(f"weight_{tap}"))
            for tap in range(self.count)
        ]


class _Fixed(nn.Module):
    def __init__(self, width_px: int, height_px: int, step: ResizeStep) -> None:
        super().__init__()
        self.columns = _Taps(width_px, step.width_px, step, dim=3)
        self.rows = _Taps(height_px, step.height_px, step, dim=2)

    def across(self, pixels: Tensor) -> Tensor:
        """Interpolated along rows, times `FIXED`: whole numbers below 2 ** 24, so float32 is exact."""
        taps = [values * weight for values, weight in self.columns(pixels)]
        return torch.stack(taps).sum(dim=0)


class _FixedLinear(_Fixed):
    def forward(self, pixels: Tensor) -> Tensor:
        """`[N, 3, H, W]` to `[N, 3, h, w]`."""
        # Of each row that is interpolated between, OpenCV keeps quarters of a step: (weight * (row >> 4)) >> 16.
        total = torch.zeros(())
        for row, weight in self.rows(torch.floor(self.across(pixels) / 16)):
            high = torch.floor(row / 256)
            low = row - 256 * high
            # The product has 26 bits and float32 is exact for 24, hence in two parts.
            total = total + torch.floor((weight * high + torch.floor(weight * low / 256)) / 256)
        return torch.floor((total + 2) / 4)


class _FixedCubic(_Fixed):
    def forward(self, pixels: Tensor) -> Tensor:
        """`[N, 3, H, W]` to `[N, 3, h, w]`."""
        taps = [row * (weight / FIXED**2) for row, weight in self.rows(self.across(pixels))]
        return torch.round(torch.stack(taps).sum(dim=0)).clamp(0, 255)
