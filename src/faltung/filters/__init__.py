"""Kernels by name, from functions, and put together.

Each function returns a `Filter`: a kernel that remembers its formula and its parameters, and that is an array
wherever an array is expected (``np.asarray(f)``, ``faltung.correlate(x, f)``). Kernels are oriented for
*correlation*, ``y[p] = Σ k[i]·x[p + i]``; convolution flips them. Lengths (sigma, radius, wavelength, length) are in
units of ``spacing``, the distance of neighbouring samples, which is 1 unless given.
"""

from faltung.filters.ball import disk
from faltung.filters.custom import custom
from faltung.filters.differences import dog, laplacian, log, scharr, sharpen, sobel, unsharp
from faltung.filters.filter import Filter
from faltung.filters.oriented import gabor, motion
from faltung.filters.parse import REGISTRY, parameters, parse
from faltung.filters.sampling import from_function
from faltung.filters.smooth import binomial, box, gaussian, lanczos

__all__ = [
    "REGISTRY",
    "Filter",
    "binomial",
    "box",
    "custom",
    "disk",
    "dog",
    "from_function",
    "gabor",
    "gaussian",
    "lanczos",
    "laplacian",
    "log",
    "motion",
    "parameters",
    "parse",
    "scharr",
    "sharpen",
    "sobel",
    "unsharp",
]
