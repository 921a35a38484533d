"""Pooling: one number for every window, by its largest, smallest, mean, middle or summed samples.

>>> from faltung.pooling import pool
>>> pool([1, 5, 2, 2, 9, 0], 2)
array([5, 2, 9])
"""

from faltung.pooling.description import Pooling
from faltung.pooling.functional import lp_pool, max_pool, mean_pool, median_pool, min_pool, pool, sum_pool
from faltung.pooling.gradient import pool_gradient
from faltung.pooling.whole import adaptive_pool, global_pool, unpool

__all__ = [
    "Pooling",
    "adaptive_pool",
    "global_pool",
    "lp_pool",
    "max_pool",
    "mean_pool",
    "median_pool",
    "min_pool",
    "pool",
    "pool_gradient",
    "sum_pool",
    "unpool",
]
