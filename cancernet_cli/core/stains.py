"""Haematoxylin, eosin and residual as optical density: Ruifrok and Johnston's colour deconvolution.

Ruifrok, Johnston, "Quantification of histochemical staining by color deconvolution", Anal Quant Cytol Histol 23(4),
2001. A pixel's optical density is `-log10(value)` for values in 0..1, and the amounts of the stains times `STAINS`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Rows: haematoxylin, eosin, DAB (the residual in an H&E image), of unit length. Columns: R, G, B.
_PUBLISHED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
STAINS: NDArray[np.float64] = np.array([row / np.linalg.norm(row) for row in _PUBLISHED], dtype=np.float64)
UNMIX: NDArray[np.float64] = np.linalg.inv(STAINS).astype(np.float64)

# The darkest value that counts; below it the logarithm would run away (one step of an 8-bit image).
DARKEST = 1.0 / 255.0
