"""The characters' vectors in a plane: their first two principal components."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def plane(vectors: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], list[float]]:
    """Where vectors (V, D) lie in the plane in which they differ most.

    Returns:
        Coordinates (V, 2), and the share of the variance that each of the two has.
    """
    centred = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(vectors), 2))
    kept = min(2, len(sizes))
    places[:, :kept] = left[:, :kept] * sizes[:kept]
    variances = np.zeros(2)
    if (total := float((sizes**2).sum())) > 0:
        variances[:kept] = sizes[:kept] ** 2 / total
    return places, variances.tolist()
