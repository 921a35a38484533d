"""Samples for tests of regions: over six decades, and the part of an array that a region asks for."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def decades(rng: np.random.Generator, shape: Any, dtype: str = "f4") -> Array:
    """Random samples over six decades."""
    return (rng.standard_normal(shape) * 10.0 ** rng.uniform(-3, 3, shape)).astype(dtype)


def held(x: Array, reads: Any) -> Array:
    """Take the samples of `reads` out of an array."""
    index = [np.concatenate([np.arange(0), *(np.arange(*one) for one in axis)]) for axis in reads]
    return x[np.ix_(*index)]
