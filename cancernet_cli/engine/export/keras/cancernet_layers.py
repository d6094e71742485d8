"""The layer that `model.h5` needs in addition to those of Keras; import this file before loading the model.

    import cancernet_layers
    import keras

    model = keras.models.load_model("model.h5", compile=False)

Written with `keras.ops`, for any backend of Keras 3. Research use only: not a medical device, not for diagnosis.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def _part(tensor: Any, slices: Any) -> Any:
    """`tensor[a:b:c, ...]` from a list of [start, stop, step] per axis."""
    return tensor[tuple(slice(*one) for one in slices)]


def _resized(images: Any, rows: Any, columns: Any) -> Any:
    """Rows and columns of images `[N, H, W, C]` combined by weights: `[N, h, w, C]`."""
    turned = ops.transpose(images, (0, 3, 1, 2))
    turned = ops.matmul(rows, ops.matmul(turned, ops.transpose(columns)))
    return ops.transpose(turned, (0, 2, 3, 1))


def _with_count(inputs: Any, count: int) -> Any:
    """Symbolic tensors with `count` for the unknown number of images."""
    if isinstance(inputs, (list, tuple)):
        return [_with_count(one, count) for one in inputs]
    return keras.KerasTensor([count if side is None else side for side in inputs.shape], inputs.dtype)


def _any_count(few: Any, many: Any) -> Any:
    """Symbolic tensors whose sides are unknown where they depend on the number of images."""
    if isinstance(few, (list, tuple)):
        return [_any_count(*pair) for pair in zip(few, many, strict=True)]
    shape = [side if side == other else None for side, other in zip(few.shape, many.shape, strict=True)]
    return keras.KerasTensor(shape, few.dtype)


_OWN = {"part": _part, "resized": _resized}
_PREFIX = "ops."  # Keras replaces a text in a layer's configuration that is the name of one of its functions


@keras.saving.register_keras_serializable(package="cancernet")
class Op(keras.layers.Layer):  # type: ignore[misc]
    """A function of `keras.ops` with constants.

    Args:
        function: its name.
        arguments: JSON values; `{"tensor": i}` stands for the i-th input, `{"weight": i}` for the i-th constant.
        constants: shape and dtype of each constant; their values are weights.
        pick: which of several results to return.
    """

    def __init__(
        self, function: str, arguments: Any, constants: Any = (), pick: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.function = function.removeprefix(_PREFIX)
        self.arguments, self.constants, self.pick = arguments, constants, pick
        self.values = [
            self.add_weight(shape=tuple(shape), dtype=dtype, initializer="zeros", trainable=False, name=f"constant_{i}")
            for i, (shape, dtype) in enumerate(constants)
        ]
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The function's result."""
        tensors = inputs if isinstance(inputs, (list, tuple)) else [inputs]

        def filled(value: Any) -> Any:
            if isinstance(value, dict):
                found = tensors[value["tensor"]] if "tensor" in value else self.values[value["weight"]]
                return ops.convert_to_tensor(found)
            if isinstance(value, (list, tuple)):
                return [filled(one) for one in value]
            return value

        function: Any = _OWN.get(self.function) or getattr(ops, self.function)
        result = function(*[filled(value) for value in self.arguments])
        return result if self.pick is None else result[self.pick]

    def compute_output_spec(self, inputs: Any) -> Any:
        """The result's shape for any number of images; Keras tries numbers into which the views of images do not go."""
        try:
            return super().compute_output_spec(inputs)
        except Exception:
            few, many = (super(Op, self).compute_output_spec(_with_count(inputs, count)) for count in (840, 1680))
        return _any_count(few, many)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        own = {"arguments": self.arguments, "constants": self.constants, "pick": self.pick}
        return {**super().get_config(), "function": _PREFIX + self.function, **own}
