"""From a continuous kernel to a filter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from faltung.errors import GeometryError, ProblemError
from faltung.filters import checks
from faltung.filters.filter import Filter

Array: TypeAlias = np.ndarray[Any, Any]
Function: TypeAlias = Callable[..., Any]
Share: TypeAlias = Callable[["_Axis", Array], Any]  # the sparse matrix of an axis, taps by nodes

SAMPLINGS = ("point", "cell", "antialias")
NORMALISATIONS = ("integral", "values", "sum")

NODES = 8  # of Gauss and Legendre, in each panel of the quadrature
MOST_NODES = 2**26  # in the finest quadrature
SLAB = 2**21  # values of the function at a time

LOBES, BETA = 24, 7.857  # the low-pass: a Kaiser window of 24 samples to each side, side lobes of -80 dB
# It stops from the Nyquist frequency on; this is where its flank has its middle, by Kaiser's formula for the width.
CUTOFF = 0.5 - (80 - 7.95) / (2 * 14.36 * 2 * LOBES)
FLOOR = 1e-4  # taps of the low-pass's tails are left out below this part of the largest: what it lets through anyway


@dataclass(frozen=True)
class _Axis:
    """One axis: where the kernel lives, which taps there are, and where between two taps the integrand may jump."""

    low: float
    high: float
    step: float
    first: int
    count: int
    jump: float

    @property
    def positions(self) -> Array:
        return self.step * np.arange(self.first, self.first + self.count)


def from_function(
    f: Function,
    spacing: float | Sequence[float] = 1.0,
    support: Any = None,
    *,
    ndim: int | None = None,
    sampling: str = "point",
    normalise: str = "integral",
    tolerance: float = 1e-9,
    name: str = "from_function",
) -> Filter:
    """Sample a continuous kernel ``f(x_0, x_1, ...)`` at the points ``i·spacing``.

    ``f`` gets arrays of one shape, a coordinate each, and returns the values there, real or complex; outside of its
    support it counts as 0. The anchor is the tap at the origin. Under `convolve`, a filter with the normalisation
    "integral" approximates ``∫ x(s) f(t - s) ds`` for samples of x at this spacing; under `correlate` ``∫ x(s) f(s - t)
    ds``. ``float64`` or ``complex128``.

    Args:
        f: the kernel, vectorised.
        spacing: distance of neighbouring samples, one for all axes or one per axis.
        support: where the kernel is not 0: a number r for -r to r, or (low, high), for every axis; or a list of
            (low, high), one per axis.
        ndim: number of axes; None: as many as spacings or supports are listed, else 1.
        sampling: how a tap comes from the function.
            "point": its value at the sample. Exact for what the function's waves below the Nyquist frequency,
            1/(2·spacing), do; those above it are taken for slower ones.
            "cell": its mean over the sample's cell, ``spacing`` wide: as a detector sees it. Weakens the fast waves.
            "antialias": its value after an ideal low-pass, nearly: waves up to 0.79 of the Nyquist frequency pass,
            those from the Nyquist frequency on are stopped by 80 dB. The kernel grows by up to 24 taps to each side.
        normalise: what the taps mean.
            "integral": value times volume of a cell: they sum to about the integral of f ("cell": exactly).
            "values": the values themselves.
            "sum": a multiple that sums to 1.
        tolerance: of the quadrature for "cell" and "antialias", relative to the largest tap. Panels are halved
            until no tap changes by more.
        name: what the filter is called.

    Formula: ``k[i] = h·f(i·h)``; ``k[i] = ∫ f over cell i``; ``k[i] = h·∫ f(x) w(i·h - x) dx``, h the spacing, w a sinc
    under a Kaiser window.

    Source: J. F. Kaiser and R. W. Schafer, "On the use of the I0-sinh window for spectrum analysis", IEEE Transactions
    on Acoustics, Speech, and Signal Processing 28 (1980), for the window.

    Raises:
        GeometryError: supports, spacings and ``ndim`` that do not fit together, an empty support, or too many taps.
        ProblemError: values that are not finite numbers, an unknown word, a sum of 0 that cannot become 1, or a
            quadrature that does not settle, as at a jump between two samples; support may end at jumps.

    >>> import numpy as np
    >>> from_function(lambda x: np.maximum(1 - abs(x), 0), 0.5, 1.0).kernel
    array([0.  , 0.25, 0.5 , 0.25, 0.  ])
    >>> from_function(lambda x: 0 * x + 1, 1.0, 1.0, sampling="cell").kernel
    array([0.5, 1. , 0.5])
    """
    checks.choice("from_function: sampling", sampling, SAMPLINGS)
    checks.choice("from_function: normalise", normalise, NORMALISATIONS)
    limit = checks.above_zero("from_function: tolerance", tolerance, "a part of the largest tap, such as 1e-9")
    axes = _axes(spacing, support, ndim, sampling)
    checks.bounded(name, [axis.count for axis in axes])
    if sampling == "point":
        taps = _values(f, [np.where(_inside(a), a.positions, 0.5 * (a.low + a.high)) for a in axes])
        taps = taps * checks.outer([_inside(a) for a in axes])
    else:
        taps = _settled(f, axes, _cells if sampling == "cell" else _low_pass, limit)
    anchor = [-a.first for a in axes]
    if sampling == "antialias":
        taps, anchor = _trimmed(taps, anchor)
    taps = _normalised(taps, normalise, math.prod(a.step for a in axes))
    texts = {"point": "f(i·h)", "cell": "mean of f over cell i", "antialias": "(f ∗ low-pass)(i·h)"}
    scale = {"integral": "Πh·", "values": "", "sum": "c·"}[normalise]
    given = {"spacing": spacing, "support": support, "sampling": sampling, "normalise": normalise}
    return Filter(name, taps, f"k[i] = {scale}{texts[sampling]}", given, anchor)


def _axes(spacing: Any, support: Any, ndim: int | None, sampling: str) -> list[_Axis]:
    listed = isinstance(support, (Sequence, np.ndarray)) and len(support) > 0 and np.ndim(support[0]) > 0
    if ndim is None:
        many = isinstance(spacing, (Sequence, np.ndarray))
        ndim = len(spacing) if many else len(support) if listed else 1
    ndim = checks.rank(ndim)
    steps = checks.spacings("from_function", spacing, ndim)
    ends = list(support) if listed else [support] * ndim
    if len(ends) != ndim:
        msg = f"support has {len(ends)} pairs {support!r} for {ndim} axes; give one, or {ndim}"
        raise GeometryError(msg)
    return [_axis(_ends(e, support), h, sampling) for e, h in zip(ends, steps, strict=True)]


def _ends(given: Any, support: Any) -> tuple[float, float]:
    if isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str):
        pair = list(given)
    else:
        pair = [-given, given] if checks.finite(given) else []
    if len(pair) != 2 or not all(map(checks.finite, pair)) or not pair[0] < pair[1]:
        msg = f"support is {support!r}; give a number r above 0 for -r to r, (low, high) with low < high, or such pairs"
        raise GeometryError(msg)
    return float(pair[0]), float(pair[1])


def _axis(ends: tuple[float, float], step: float, sampling: str) -> _Axis:
    low, high = min(max(ends[0] / step, -1e9), 1e9), min(max(ends[1] / step, -1e9), 1e9)
    # Half a sample more for cells; a hair less, lest rounding add a cell with nothing in it.
    extra = {"point": 1e-9, "cell": 0.5 - 1e-9, "antialias": LOBES}[sampling]
    # The tap at the origin always exists, since the anchor is there.
    first, last = min(0, math.ceil(low - extra)), max(0, math.floor(high + extra))
    # Cells end halfway between samples; the low-pass's window ends a whole number of them away, with a small jump.
    return _Axis(*ends, step, first, last - first + 1, 0.5 if sampling == "cell" else 0.0)


def _inside(axis: _Axis) -> Array:
    slack = 1e-9 * axis.step
    return (axis.positions >= axis.low - slack) & (axis.positions <= axis.high + slack)


def _values(f: Function, coordinates: Sequence[Array]) -> Array:
    grids = np.meshgrid(*coordinates, indexing="ij")
    values = np.asarray(f(*grids))
    if values.dtype.kind not in "biufc":
        msg = f"f gives {values.dtype}; make it return real or complex numbers"
        raise ProblemError(msg)
    if values.shape not in ((), grids[0].shape):
        msg = f"f gives the shape {values.shape} for coordinates of shape {grids[0].shape}; make it elementwise"
        raise GeometryError(msg)
    values = np.broadcast_to(values, grids[0].shape).astype(np.result_type(values, np.float64))
    if not np.isfinite(values).all():
        where = tuple(float(g[~np.isfinite(values)][0]) for g in grids)
        msg = f"f is not finite at {where}; give a kernel that is finite within its support"
        raise ProblemError(msg)
    return values


def _settled(f: Function, axes: Sequence[_Axis], share: Share, limit: float) -> Array:
    """Integrate with ever more panels, until no tap changes."""
    taps, panels = None, 1
    while math.prod(_panels(axis, panels) * NODES for axis in axes) <= MOST_NODES:
        finer = _integrated(f, axes, share, panels)
        if taps is not None and abs(finer - taps).max() <= limit * abs(finer).max():
            return finer
        taps, panels = finer, 2 * panels
    msg = (
        f"the quadrature of f did not settle to {limit:g} of the largest tap with up to {MOST_NODES} points; does f "
        "jump, or has it too many taps? Let its support end at jumps, pass a larger tolerance, or sampling='point'"
    )
    raise ProblemError(msg)


def _panels(axis: _Axis, per_step: int) -> int:
    return per_step * (math.ceil((axis.high - axis.low) / axis.step) + 1)


def _integrated(f: Function, axes: Sequence[_Axis], share: Share, per_step: int) -> Array:
    """Return ``Σ_x f(x)·Π share(i, x)·weight(x)`` over the nodes of a quadrature."""
    nodes, matrices = [], []
    for axis in axes:
        x, weights = _quadrature(axis, per_step)
        nodes.append(x)
        matrices.append(share(axis, x).multiply(weights).tocsc())
    rows = max(1, SLAB // max(1, math.prod(len(x) for x in nodes[1:])))
    total: Any = 0.0
    for start in range(0, len(nodes[0]), rows):
        slab = slice(start, start + rows)
        values = _values(f, [nodes[0][slab], *nodes[1:]])
        for matrix in (matrices[0][:, slab], *matrices[1:]):
            # Sums over the first axis and puts the taps last: after all axes they are in order again.
            summed = matrix @ values.reshape(len(values), -1)
            values = np.moveaxis(summed.reshape(-1, *values.shape[1:]), 0, -1)
        total = total + values
    taps: Array = total
    return taps


def _quadrature(axis: _Axis, per_step: int) -> tuple[Array, Array]:
    """Return nodes, and weights in units of a cell, in panels that end at jumps and at the ends of the support."""
    edges = axis.step * (np.arange(per_step * axis.count + 1) / per_step + axis.first - axis.jump)
    inner = edges[(edges > axis.low) & (edges < axis.high)]
    edges = np.concatenate([[axis.low], inner, [axis.high]])
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    return (middle + half * nodes).ravel(), (half * weights).ravel() / axis.step


def _cells(axis: _Axis, x: Array) -> Any:
    """Return 1 where a node (column) lies in the cell of a tap (row), sparse."""
    from scipy.sparse import csc_array

    cell = (np.rint(x / axis.step).astype(np.int64) - axis.first).clip(0, axis.count - 1)
    return csc_array((np.ones(len(x)), (cell, np.arange(len(x)))), (axis.count, len(x)))


def _low_pass(axis: _Axis, x: Array) -> Any:
    """Return the low-pass's value at the distance from a node (column) to a tap (row), sparse."""
    from scipy.sparse import csc_array
    from scipy.special import i0

    tap = np.rint(x / axis.step).astype(np.int64) + np.arange(-LOBES, LOBES + 1)[:, None]
    distance = tap - x / axis.step
    window = i0(BETA * np.sqrt(np.maximum(1 - (distance / LOBES) ** 2, 0))) / i0(BETA)
    values = 2 * CUTOFF * np.sinc(2 * CUTOFF * distance) * window
    column = np.broadcast_to(np.arange(len(x)), tap.shape)
    near = (abs(distance) < LOBES) & (tap >= axis.first) & (tap < axis.first + axis.count)
    return csc_array((values[near], (tap[near] - axis.first, column[near])), (axis.count, len(x)))


def _trimmed(taps: Array, anchor: list[int]) -> tuple[Array, list[int]]:
    """Cut off what is nothing but tails of the low-pass, but not the anchor."""
    large = abs(taps) > FLOOR * abs(taps).max(initial=0)
    box, moved = [], []
    for axis, at in enumerate(anchor):
        others = tuple(a for a in range(taps.ndim) if a != axis)
        found = np.append(np.flatnonzero(large.any(axis=others)), at)
        box.append(slice(int(found.min()), int(found.max()) + 1))
        moved.append(at - int(found.min()))
    return taps[tuple(box)], moved


def _normalised(values: Array, how: str, volume: float) -> Array:
    if how == "values":
        return values
    if how == "integral":
        return values * volume
    total = values.sum()
    if abs(total) <= 1e-12 * abs(values).sum():
        msg = "from_function: the taps sum to 0 and cannot be made to sum to 1; use normalise='integral'"
        raise ProblemError(msg)
    normalised: Array = values / total
    return normalised
