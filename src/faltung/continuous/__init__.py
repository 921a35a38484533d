"""Convolution of functions: ``s(t) = ∫ f(x) K(t - x) dx``.

A `Function` is piecewise smooth and zero outside its support. `convolve` and `correlate` make another of two, by
formula where one is known (`gaussian`, `box`, `bspline`, `exponential`, `impulse`), else as Chebyshev series between
the sums of their breaks. The result can be called, differentiated, integrated, convolved again, and tells its error.
With a period the functions repeat (`Periodic`); products of functions of one variable (`Separable`) have any rank.
`sample` and `digital` lead from here to arrays.

>>> from faltung.continuous import box, convolve
>>> triangle = convolve(box(), box())
>>> triangle([0, 0.25, 0.5])
array([1.  , 0.75, 0.5 ])
>>> convolve(triangle, box())
Function(support=(-1.5, 1.5), breaks=(-0.5, 0.5), 1·B-spline(x; degree 2, spacing 1, centre 0))
"""

from faltung.continuous.convolve import convolve, correlate
from faltung.continuous.families import box, bspline, exponential, gaussian, impulse
from faltung.continuous.function import Function
from faltung.continuous.periodic import Periodic
from faltung.continuous.sample import digital, sample
from faltung.continuous.separable import Separable

__all__ = [
    "Function",
    "Periodic",
    "Separable",
    "box",
    "bspline",
    "convolve",
    "correlate",
    "digital",
    "exponential",
    "gaussian",
    "impulse",
    "sample",
]
