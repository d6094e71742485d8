"""HDF5 of Keras: for Keras 3 with PyTorch, JAX or TensorFlow behind it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.errors import ModelError
from cancernet_cli.engine.export.base import Run, exporters, needs, not_expressible, traced, without_warnings
from cancernet_cli.engine.export.cascade import Exported

LAYERS = "cancernet_layers.py"

PROGRAM = """# The environment variable KERAS_BACKEND chooses torch, jax or tensorflow.
import cancernet_layers  # the file next to the model: one layer that Keras does not have
import keras

model = keras.models.load_model("{file}", compile=False)
found = model(pixels)
outputs = [keras.ops.convert_to_numpy(one) for one in (found if isinstance(found, (list, tuple)) else [found])]
"""


def import_keras() -> Any:
    """Keras, on PyTorch unless the user has chosen or imported another backend.

    Raises:
        ModelError: a package is not installed.
    """
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with needs("keras"):
        import h5py  # noqa: F401
        import keras
    return keras


@exporters.register("h5", summary="Keras 3", file="model.h5", extra="keras", program=PROGRAM)
class Hdf5:
    """A Keras model with the same layers and weights, in the HDF5 format of Keras."""

    def write(self, network: Exported, path: Path) -> None:
        """See `Exporter`."""
        keras = import_keras()
        from cancernet_cli.engine.export.keras import cancernet_layers
        from cancernet_cli.engine.export.keras.graph import keras_outputs

        program = traced(network).run_decompositions({})  # without in-place operators
        keras.utils.clear_session()  # names of layers are counted from 1
        pixels = keras.Input((network.height_px, network.width_px, 3), dtype="uint8", name="pixels")
        try:
            model = keras.Model(pixels, keras_outputs(program, pixels))
            with without_warnings():  # that Keras prefers its newer format
                model.save(path)
        except ModelError:
            raise
        except Exception as error:  # of any of Keras's backends
            raise not_expressible("h5", error) from error
        shutil.copyfile(cancernet_layers.__file__, path.parent / LAYERS)

    def load(self, path: Path) -> Run:
        """See `Exporter`."""
        keras = import_keras()
        from cancernet_cli.engine.export.keras import cancernet_layers  # noqa: F401  # registers its layer

        model = keras.models.load_model(path, compile=False)

        def run(pixels: Pixels) -> list[np.ndarray]:
            found = model(pixels)
            found = found if isinstance(found, (list, tuple)) else [found]
            return [np.asarray(keras.ops.convert_to_numpy(one)) for one in found]

        return run
