"""Arrays of other libraries: Dask's are filtered lazily, chunk by chunk; xarray's keep coordinates and attributes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import numpy as np

    from faltung.convolution import Convolution
    from faltung.pooling.description import Pooling


def is_dask(x: object) -> bool:
    """Whether something is a Dask array; nobody has one who has not imported dask.array.

    >>> is_dask([1, 2, 3])
    False
    """
    module = sys.modules.get("dask.array")
    return module is not None and isinstance(x, module.Array)


def lazily(c: Convolution, x: Any, **asked: Any) -> np.ndarray:
    """Filter a Dask array to another, which stands for an array; see `arrays.dask.filtered` for the keywords."""
    from faltung.arrays.dask import filtered

    return cast("np.ndarray", filtered(c, x, **asked))


def convolved(x: Any, *options: Any) -> np.ndarray:
    """Apply a layer to a Dask array lazily; see `arrays.dask_layers.conv`."""
    from faltung.arrays.dask_layers import conv

    return cast("np.ndarray", conv(x, *options))


def pooled(pooling: Pooling, x: Any, *, return_indices: bool, threads: int | None) -> np.ndarray:
    """Pool a Dask array lazily; see `arrays.dask_layers.pool`."""
    from faltung.arrays.dask_layers import pool

    return cast("np.ndarray", pool(x, pooling, threads, return_indices=return_indices))
