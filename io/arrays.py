"""Names for the arrays that pass between functions; shapes and units stand in each docstring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
GreyImage = NDArray[np.uint8] | NDArray[np.uint16]
BoolImage = NDArray[np.bool_]
