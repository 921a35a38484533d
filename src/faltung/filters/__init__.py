"""Kernels by name.

Each function returns a `Filter`: a kernel that remembers its formula and its parameters, and that is an array
wherever an array is expected (``np.asarray(f)``, ``faltung.correlate(x, f)``). Kernels are oriented for
*correlation*, ``y[p] = Σ k[i]·x[p + i]``; convolution flips them.
"""

from faltung.filters.filter import Filter
from faltung.filters.kernels import box, custom, gaussian, laplacian, sharpen, sobel
from faltung.filters.parse import REGISTRY, parameters, parse

__all__ = [
    "REGISTRY",
    "Filter",
    "box",
    "custom",
    "gaussian",
    "laplacian",
    "parameters",
    "parse",
    "sharpen",
    "sobel",
]
