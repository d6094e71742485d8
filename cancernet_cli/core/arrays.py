"""Types of NumPy arrays, by dtype; shapes are in the docstrings of the functions that take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Bytes = NDArray[np.uint8]  # uint8 that are not pixels
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Labels = NDArray[np.int32]  # 0 for background
Indices = NDArray[np.signedinteger[Any]]  # of any width
Bools = NDArray[np.bool_]
Strings = NDArray[np.str_]
