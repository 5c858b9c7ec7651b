from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
"""Eight colours told apart with any colour vision. Reference: Okabe and Ito 2008."""
Array = NDArray[np.floating[Any]]
