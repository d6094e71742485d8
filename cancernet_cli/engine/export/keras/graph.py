"""Turn a graph of PyTorch's operators into a Keras model, operator by operator."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram

from cancernet_cli.core.errors import ModelError
from cancernet_cli.engine.export.keras.cancernet_layers import Op

BATCH = object()  # a size that depends on the number of images
DTYPES = {torch.float32: "float32", torch.int64: "int32", torch.int32: "int32", torch.uint8: "uint8"}
DTYPES |= {torch.bool: "bool", torch.float64: "float32"}


class Value:
    """A Keras tensor that stands for a PyTorch one; images are kept in Keras's order of axes as long as possible.

    Args:
        plain: with PyTorch's order of axes. images: `[N, H, W, C]` for PyTorch's `[N, C, H, W]`. One of them is given.
    """

    def __init__(self, plain: Any = None, images: Any = None) -> None:
        self._plain, self._images = plain, images

    @property
    def rank(self) -> int:
        return len((self._plain if self._images is None else self._images).shape)

    @property
    def has_images(self) -> bool:
        return self._images is not None

    @property
    def plain(self) -> Any:
        """With PyTorch's order of axes."""
        if self._plain is None:
            self._plain = apply("transpose", [self._images, (0, 3, 1, 2)])
        return self._plain

    @property
    def images(self) -> Any:
        """`[N, H, W, C]`."""
        if self._images is None:
            self._images = apply("transpose", [self._plain, (0, 2, 3, 1)])
        return self._images


def apply(function: str, arguments: Sequence[Any], pick: int | None = None) -> Any:
    """A function of `keras.ops` on Keras tensors, PyTorch tensors as constants, and JSON values."""
    tensors: list[Any] = []
    constants: list[Tensor] = []

    def described(value: Any) -> Any:
        if isinstance(value, Tensor):
            constants.append(value)
            return {"weight": len(constants) - 1}
        if isinstance(value, (list, tuple)):
            return [described(one) for one in value]
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        tensors.append(value)
        return {"tensor": len(tensors) - 1}

    written = [described(value) for value in arguments]
    layer = Op(function, written, [[list(c.shape), DTYPES[c.dtype]] for c in constants], pick)
    found = layer(tensors if len(tensors) > 1 else tensors[0])
    layer.set_weights([c.detach().numpy().astype(DTYPES[c.dtype]) for c in constants])
    return found


Rule = TypeVar("Rule", bound=Callable[..., Any])
RULES: dict[str, Callable[..., Any]] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register the translation of PyTorch's operators of these names, without overloads."""

    def add(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return add


def keras_outputs(program: ExportedProgram, pixels: Any) -> list[Any]:
    """The outputs of a program on a Keras input `[N, H, W, 3]`.

    Raises:
        ModelError: it has an operator without a translation.
    """
    from cancernet_cli.engine.export.keras import operators  # noqa: F401  # registers the translations

    values: dict[str, Any] = dict(_constants(program))
    inputs = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
    values[inputs[0]] = Value(plain=pixels)
    for node in program.graph.nodes:
        if node.op == "call_function":
            arguments = torch.fx.node.map_arg(node.args, lambda one: values[one.name])
            keywords = torch.fx.node.map_arg(node.kwargs, lambda one: values[one.name])
            values[node.name] = _translated(node, arguments, keywords)
        elif node.op == "output":
            return [values[one.name].plain for one in node.args[0]]
    raise AssertionError("a program without an output")


def _constants(program: ExportedProgram) -> dict[str, Tensor]:
    """Parameters, buffers and constants by the name of their node."""
    signature = program.graph_signature
    found = {name: program.state_dict[key] for name, key in signature.inputs_to_parameters.items()}
    for name, key in signature.inputs_to_buffers.items():
        found[name] = program.state_dict[key] if key in program.state_dict else program.constants[key]
    found |= {name: program.constants[key] for name, key in signature.inputs_to_lifted_tensor_constants.items()}
    return found


def _translated(node: torch.fx.Node, arguments: Any, keywords: Any) -> Any:
    """The value of a node: computed at once where it depends on constants alone, otherwise a Keras tensor."""
    if node.target is operator.getitem:
        return arguments[0][arguments[1]]
    given = torch.utils._pytree.tree_leaves((arguments, keywords))
    is_size = any(one is BATCH for one in given)
    if not any(isinstance(one, Value) for one in given):
        if is_size:
            return BATCH
        with torch.no_grad():
            return node.target(*arguments, **keywords)  # type: ignore[operator]
    name = getattr(getattr(node.target, "overloadpacket", None), "__name__", str(node.target))
    translation = RULES.get(name)
    if translation is None:
        raise ModelError(
            f"the model cannot be converted to h5: Keras has no counterpart of {node.target}",
            fix="choose another --format, such as onnx",
        )
    return translation(*arguments, **keywords)


def as_array(tensor: Tensor) -> np.ndarray:
    """A constant as a NumPy array."""
    return tensor.detach().cpu().numpy()
