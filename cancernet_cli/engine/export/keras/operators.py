"""PyTorch's operators in Keras: those of convolutional networks, and of what comes before and after them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import torch
from torch import Tensor

from cancernet_cli.engine.export.keras.graph import BATCH, DTYPES, Value, apply, as_array, rule

_LOWEST = -3e38  # pads what is pooled by its maximum


def _with_weights(layer: Any, inputs: Any, *weights: Tensor | None) -> Any:
    """A layer's output, with weights in the order in which it lists them."""
    found = layer(inputs)
    layer.set_weights([as_array(one) for one in weights if one is not None])
    return found


def _pair(value: Any) -> tuple[int, int]:
    values = [value] if isinstance(value, int) else list(value)
    return (int(values[0]), int(values[-1]))


# ---- layers --------------------------------------------------------------------------------------------------------


@rule("conv2d")
def _conv2d(
    x: Value,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    out, _, high, wide = weight.shape
    images, margin = x.images, _pair(padding)
    if any(margin):
        images = keras.layers.ZeroPadding2D(margin)(images)
    same = {"strides": _pair(stride), "dilation_rate": _pair(dilation), "use_bias": bias is not None}
    kernel = weight.permute(2, 3, 1, 0)
    if groups == images.shape[-1] > 1:
        layer = keras.layers.DepthwiseConv2D((high, wide), depth_multiplier=out // groups, **same)
        kernel = weight.reshape(groups, out // groups, high, wide).permute(2, 3, 0, 1)
    else:
        layer = keras.layers.Conv2D(out, (high, wide), groups=groups, **same)
    return Value(images=_with_weights(layer, images, kernel, bias))


@rule("_native_batch_norm_legit_no_training")
def _batch_norm(
    x: Value, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, momentum: float, eps: float
) -> tuple[Value]:
    layer = keras.layers.BatchNormalization(epsilon=eps)
    return (Value(images=_with_weights(layer, x.images, weight, bias, mean, variance)),)


@rule("linear")
def _linear(x: Value, weight: Tensor, bias: Tensor | None = None) -> Value:
    layer = keras.layers.Dense(weight.shape[0], use_bias=bias is not None)
    return Value(_with_weights(layer, x.plain, weight.T, bias))


@rule("max_pool2d")
def _max_pool2d(x: Value, kernel: Any, stride: Any = (), padding: Any = 0, *_: Any) -> Value:
    images, (down, right) = x.images, _pair(padding)
    if down or right:
        images = apply("pad", [images, [[0, 0], [down, down], [right, right], [0, 0]], "constant", _LOWEST])
    return Value(images=keras.layers.MaxPooling2D(_pair(kernel), _pair(stride or kernel))(images))


@rule("upsample_nearest2d")
def _nearest(x: Value, size: Any, scales: Any = None, *_: Any) -> Value:
    high, wide = x.images.shape[1:3]
    factors = [s // side for s, side in zip(size, (high, wide), strict=True)] if size else [int(s) for s in scales]
    return Value(images=keras.layers.UpSampling2D(tuple(factors), interpolation="nearest")(x.images))


# ---- resizing, as weighted sums of rows and columns ----------------------------------------------------------------


def _separable(x: Value, operation: Callable[[Tensor], Tensor]) -> Value:
    """An operator that combines rows and columns by weights, found by applying it to unit vectors."""
    high, wide = (int(side) for side in x.images.shape[1:3])
    # Constant along the other axis, where the weights add up to 1.
    rows = operation(torch.eye(high)[:, None, :, None].expand(high, 1, high, wide))[:, 0, :, 0].T
    columns = operation(torch.eye(wide)[:, None, None, :].expand(wide, 1, high, wide))[:, 0, 0, :].T
    return Value(images=apply("resized", [x.images, rows.contiguous(), columns.contiguous()]))


@rule("avg_pool2d")
def _avg_pool2d(x: Value, kernel: Any, stride: Any = (), padding: Any = 0, ceil: bool = False, *rest: Any) -> Value:
    size, steps = _pair(kernel), _pair(stride or kernel)
    whole = all((side - k) % s == 0 for side, k, s in zip(x.images.shape[1:3], size, steps, strict=True))
    if not any(_pair(padding)) and (whole or not ceil):
        return Value(images=keras.layers.AveragePooling2D(size, steps)(x.images))
    return _separable(x, lambda t: torch.ops.aten.avg_pool2d(t, kernel, stride, padding, ceil, *rest))


@rule("adaptive_avg_pool2d")
def _adaptive_avg_pool2d(x: Value, size: Any) -> Value:
    return _separable(x, lambda t: torch.nn.functional.adaptive_avg_pool2d(t, size))


@rule("upsample_bilinear2d")
def _bilinear(x: Value, *arguments: Any) -> Value:
    return _separable(x, lambda t: torch.ops.aten.upsample_bilinear2d(t, *arguments))


# ---- element by element --------------------------------------------------------------------------------------------


def _element_wise(function: str, *operands: Any) -> Value:
    """A function of each element; in Keras's order of axes if the operands are images in that order."""
    values = [one for one in operands if isinstance(one, Value)]
    if any(one.has_images for one in values) and all(one.rank == 4 for one in values):
        return Value(images=apply(function, [_in_images(one) for one in operands]))
    return Value(apply(function, [one.plain if isinstance(one, Value) else one for one in operands]))


def _in_images(operand: Any) -> Any:
    if isinstance(operand, Value):
        return operand.images
    if isinstance(operand, Tensor) and operand.ndim:
        return operand.reshape((1,) * (4 - operand.ndim) + tuple(operand.shape)).permute(0, 2, 3, 1).contiguous()
    return operand


for _function in (
    "relu",
    "sigmoid",
    "silu",
    "tanh",
    "sqrt",
    "square",
    "exp",
    "log",
    "log10",
    "floor",
    "round",
    "abs",
    "reciprocal",
):
    rule(_function, f"{_function}_")(lambda x, *_, name=_function: _element_wise(name, x))
for _function, _name in {"mul": "multiply", "div": "divide", "maximum": "maximum", "minimum": "minimum"}.items():
    rule(_function, f"{_function}_")(lambda x, y, name=_name: _element_wise(name, x, y))
for _function, _name in {"gt": "greater", "lt": "less", "ge": "greater_equal", "le": "less_equal"}.items():
    rule(_function)(lambda x, y, name=_name: _element_wise(name, x, y))
rule("pow")(lambda x, y: _element_wise("power", x, y))
rule("neg")(lambda x: _element_wise("negative", x))
for _function in ("ones_like", "zeros_like"):
    rule(_function)(lambda x, name=_function, **_: _element_wise(name, x))
rule("where")(lambda test, x, y: _element_wise("where", test, x, y))


@rule("add", "add_")
def _add(x: Any, y: Any, alpha: float = 1) -> Value:
    return _element_wise("add", x, y if alpha == 1 else _element_wise("multiply", y, alpha))


@rule("sub", "sub_")
def _sub(x: Any, y: Any, alpha: float = 1) -> Value:
    return _element_wise("subtract", x, y if alpha == 1 else _element_wise("multiply", y, alpha))


@rule("rsub")
def _rsub(x: Any, y: Any, alpha: float = 1) -> Value:
    return _sub(y, x, alpha)


@rule("clamp", "clamp_", "hardtanh", "hardtanh_", "clamp_min", "clamp_max", "relu6", "relu6_")
def _clamp(x: Value, low: Any = None, high: Any = None) -> Value:
    if low is not None:
        x = _element_wise("maximum", x, low)
    return x if high is None else _element_wise("minimum", x, high)


@rule("hardsigmoid", "hardsigmoid_")
def _hardsigmoid(x: Value) -> Value:
    return _clamp(_element_wise("add", _element_wise("divide", x, 6.0), 0.5), 0.0, 1.0)


@rule("hardswish", "hardswish_")
def _hardswish(x: Value) -> Value:
    return _element_wise("multiply", x, _hardsigmoid(x))


@rule("gelu")
def _gelu(x: Value, approximate: str = "none") -> Value:
    images = x.images if x.has_images else None
    value = apply("gelu", [x.plain if images is None else images, approximate != "none"])
    return Value(value) if images is None else Value(images=value)


@rule("to", "_to_copy")
def _to(x: Value, *arguments: Any, **keywords: Any) -> Value:
    dtypes = [one for one in (*arguments, *keywords.values()) if isinstance(one, torch.dtype)]
    return _element_wise("cast", x, DTYPES[dtypes[0]]) if dtypes else x


@rule("dropout", "dropout_", "contiguous", "clone", "detach", "detach_", "alias", "lift_fresh_copy", "lift_fresh")
def _unchanged(x: Any, *_: Any, **__: Any) -> Any:
    return x


@rule("_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range_for_size")
def _nothing(*_: Any, **__: Any) -> None:
    return None


# ---- shapes --------------------------------------------------------------------------------------------------------


@rule("sym_size")
def _sym_size(x: Value, dim: int) -> Any:
    size = x.plain.shape[dim]
    return BATCH if size is None else int(size)


@rule("permute")
def _permute(x: Value, order: Sequence[int]) -> Value:
    order = [axis % x.rank for axis in order]
    if order == [0, 3, 1, 2] and not x.has_images:
        return Value(images=x.plain)
    if order == [0, 2, 3, 1]:
        return Value(x.images)
    return Value(apply("transpose", [x.plain, order]))


@rule("transpose")
def _transpose(x: Value, first: int, second: int) -> Value:
    order = list(range(x.rank))
    order[first], order[second] = order[second], order[first]
    return _permute(x, order)


@rule("view", "reshape", "_unsafe_view", "expand_as")
def _reshape(x: Value, shape: Sequence[Any]) -> Value:
    return Value(apply("reshape", [x.plain, [-1 if size is BATCH else int(size) for size in shape]]))


@rule("flatten")
def _flatten(x: Value, start: int = 0, end: int = -1) -> Value:
    shape = [-1 if size is None else int(size) for size in x.plain.shape]
    end = end % len(shape)
    together = shape[start : end + 1]
    joined = -1
    if -1 not in together:
        joined = 1
        for size in together:
            joined *= size
    return Value(apply("reshape", [x.plain, [*shape[:start], joined, *shape[end + 1 :]]]))


@rule("expand")
def _expand(x: Value, shape: Sequence[Any]) -> Value:
    """Unchanged: what it is combined with repeats it."""
    return x


@rule("unsqueeze")
def _unsqueeze(x: Value, dim: int) -> Value:
    return Value(apply("expand_dims", [x.plain, dim]))


@rule("select")
def _select(x: Value, dim: int, index: int) -> Value:
    return Value(apply("take", [x.plain, index, dim]))


@rule("slice")
def _slice(x: Value, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Value:
    end = None if end is BATCH or (end is not None and end >= 2**31 - 1) else end
    dim = dim % x.rank
    if x.has_images and x.rank == 4:
        slices: list[Any] = [[None, None, None] for _ in range(4)]
        slices[(0, 3, 1, 2)[dim]] = [start, end, step]
        return Value(images=apply("part", [x.images, slices]))
    return Value(apply("part", [x.plain, [[None, None, None]] * dim + [[start, end, step]]]))


@rule("cat")
def _cat(values: Sequence[Value], dim: int = 0) -> Value:
    if all(one.rank == 4 and one.has_images for one in values):
        return Value(images=apply("concatenate", [[one.images for one in values], (0, 3, 1, 2)[dim % 4]]))
    return Value(apply("concatenate", [[one.plain for one in values], dim]))


@rule("stack")
def _stack(values: Sequence[Value], dim: int = 0) -> Value:
    return Value(apply("stack", [[one.plain for one in values], dim]))


@rule("pad")
def _pad(x: Value, widths: Sequence[int], mode: str = "constant", value: float | None = None) -> Value:
    left, right, *rest = widths
    top, bottom = rest or (0, 0)
    assert x.rank == 4
    assert len(widths) <= 4
    if not any(widths):
        return x
    if mode == "constant":
        margins = [[0, 0], [top, bottom], [left, right], [0, 0]]
        return Value(images=apply("pad", [x.images, margins, "constant", value or 0.0]))
    name = {"replicate": "edge", "reflect": "reflect"}[mode]  # not every backend of Keras has both
    images = x.images
    for axis, margin in ((1, (top, bottom)), (2, (left, right))):
        places = np.pad(np.arange(int(images.shape[axis])), margin, mode=name)  # type: ignore[call-overload]
        images = apply("take", [images, torch.from_numpy(places), axis])
    return Value(images=images)


# ---- whole tensors -------------------------------------------------------------------------------------------------


def _over(function: str, x: Value, dims: Any, keepdim: bool) -> Value:
    dims = [dims] if isinstance(dims, int) else list(dims)
    if x.has_images and x.rank == 4 and keepdim:
        return Value(images=apply(function, [x.images, [(0, 3, 1, 2)[d % 4] for d in dims], True]))
    if x.has_images and sorted(d % 4 for d in dims) == [2, 3]:
        return Value(apply(function, [x.images, [1, 2], False]))
    return Value(apply(function, [x.plain, dims, keepdim]))


@rule("mean")
def _mean(x: Value, dims: Any, keepdim: bool = False, **_: Any) -> Value:
    return _over("mean", x, dims, keepdim)


@rule("sum")
def _sum(x: Value, dims: Any, keepdim: bool = False, **_: Any) -> Value:
    return _over("sum", x, dims, keepdim)


@rule("topk")
def _topk(x: Value, count: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Value, None]:
    assert dim % x.rank == x.rank - 1
    given = x.plain if largest else apply("negative", [x.plain])
    found = apply("top_k", [given, count], pick=0)
    return Value(found if largest else apply("negative", [found])), None


@rule("matmul", "bmm", "mm")
def _matmul(x: Any, y: Any) -> Value:
    return Value(apply("matmul", [one.plain if isinstance(one, Value) else one for one in (x, y)]))


@rule("softmax")
def _softmax(x: Value, dim: int, *_: Any) -> Value:
    return Value(apply("softmax", [x.plain, dim]))


@rule("index_select")
def _index_select(x: Value, dim: int, index: Tensor) -> Value:
    if x.has_images and x.rank == 4:
        return Value(images=apply("take", [x.images, index, (0, 3, 1, 2)[dim % 4]]))
    return Value(apply("take", [x.plain, index, dim]))


@rule("index")
def _index(x: Value, places: Sequence[Tensor | None]) -> Value:
    """`x[:, rows, columns]`: positions along the last axes, which are joined first."""
    leading = [place for place in places if place is None]
    given = [place for place in places if place is not None]
    shape = [-1 if size is None else int(size) for size in x.plain.shape]
    assert list(places[: len(leading)]) == leading
    assert len(places) == len(shape)
    at, size = torch.zeros_like(given[0]), 1
    for place, side in zip(reversed(given), reversed(shape), strict=False):
        at, size = at + place * size, size * side
    joined = apply("reshape", [x.plain, [*shape[: len(leading)], size]])
    return Value(apply("take", [joined, at, len(leading)]))
