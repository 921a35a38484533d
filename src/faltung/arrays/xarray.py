"""xarray: ``import faltung.arrays.xarray`` gives every DataArray an accessor ``.faltung``.

Axes are named, coordinates and attributes are kept, and arrays made of Dask chunks stay lazy:

    >>> import numpy as np, xarray
    >>> import faltung.arrays.xarray
    >>> lon = xarray.Variable("lon", np.arange(0.0, 360.0, 90.0), {"units": "degrees_east"})
    >>> t = xarray.DataArray([1.0, 2.0, 4.0, 8.0], {"lon": lon}, name="t")
    >>> t.faltung.correlate([1.0, 0.0, 1.0], dims="lon", boundary="wrap").values
    array([10.,  5., 10.,  5.])
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xarray

from faltung import arguments
from faltung.arrays.coordinates import Positions, spacing
from faltung.convolution import Convolution
from faltung.errors import GeometryError
from faltung.filters import gaussian as gaussian_filter

if TYPE_CHECKING:
    from collections.abc import Sequence

Dims: TypeAlias = Hashable | tuple[Hashable, ...] | list[Hashable] | None
# What describes the convolution; all other keywords are of the call.
DESCRIBED = ("mode", "padding", "boundary", "stride", "dilation", "anchor")
BY_DIMENSION = {"boundary": "symmetric", "stride": 1, "dilation": 1}
BANK = "filter"


@xarray.register_dataarray_accessor("faltung")  # type: ignore[no-untyped-call, unused-ignore]
class Filters:
    """The filters of a DataArray.

    `dims` names the filtered dimensions, in the order of the kernel's axes; one name will do for one axis, and None
    means all dimensions of an array of the kernel's rank. Further keywords are those of `faltung.correlate`, except
    `axes` and `out`; boundary, stride and dilation may also be given by name: ``boundary={"lon": "wrap"}``, where the
    dimensions left out keep the default. A bank of kernels makes a first dimension "filter".

    Name and attributes are kept, and coordinates too: with a stride every s-th; for mode "valid" those of the samples
    on which the kernel's anchor lies; beyond the array, with "full" and padding, those of evenly spaced dimensions
    are continued, and other ones dropped with a warning. A warning says where the steps of a coordinate differ: the
    filter counts samples, and knows nothing of the distances between them.
    """

    def __init__(self, array: xarray.DataArray) -> None:
        self._array = array

    def correlate(self, kernel: Any, dims: Dims = None, **options: Any) -> xarray.DataArray:
        """Correlate with a kernel along named dimensions: y[j] = Σ x[j + l] conj(k[l]).

        >>> x = xarray.DataArray(np.arange(6.0).reshape(2, 3), dims=("y", "x"))
        >>> x.faltung.correlate([1, 1], dims="x", mode="valid").values
        array([[1., 3.],
               [7., 9.]])
        """
        return self._filtered(kernel, dims, False, options)

    def convolve(self, kernel: Any, dims: Dims = None, **options: Any) -> xarray.DataArray:
        """Convolve with a kernel along named dimensions: y[j] = Σ x[j - l] k[l].

        >>> x = xarray.DataArray([1.0, 2.0, 4.0], {"x": [10, 20, 30]})
        >>> x.faltung.convolve([1, 1], mode="full").x.values
        array([ 0, 10, 20, 30])
        """
        return self._filtered(kernel, dims, True, options)

    def gaussian(
        self, sigma: Any, dims: Dims = None, *, truncate: float = 4.0, order: Any = 0, **options: Any
    ) -> xarray.DataArray:
        """Smooth by a Gaussian whose `sigma` is in the units of the coordinates.

        `sigma` is one for all of `dims`, or by name: ``sigma={"lat": 2.5, "lon": 5.0}``; along a dimension of times it
        is a numpy.timedelta64, and along one without a coordinate it counts samples. `truncate` and `order` (one, or
        by name) are those of `faltung.filters.gaussian`; derivatives are per unit of the coordinate, and per second
        of times. Degrees are degrees: nothing is known of the sphere.

        >>> x = xarray.DataArray(np.eye(1, 9)[0], {"x": np.arange(9) * 0.5})
        >>> x.faltung.gaussian(0.5, "x", truncate=1).values.round(3)[:3]
        array([0.726, 0.274, 0.   ])
        """
        if isinstance(sigma, Mapping) and dims is None:
            dims = tuple(sigma)
        names = self._names(dims, None)
        sigmas, steps = [], []
        for dim, one in zip(names, _by_name(sigma, names, "sigma"), strict=True):
            step = spacing(self._array, dim)
            steps.append(step.signed)
            sigmas.append(step.measure(one))
        orders = _by_name(order, names, "order", 0)
        found = gaussian_filter(sigmas, len(names), truncate, order=orders, spacing=[abs(step) for step in steps])
        kernel = found.kernel * np.prod([np.sign(step) ** n for step, n in zip(steps, orders, strict=True)])
        return self._filtered(kernel, names, False, options)

    def _filtered(self, kernel: Any, dims: Dims, flip: bool, options: dict[str, Any]) -> xarray.DataArray:
        for name in ("axes", "out", "channels", "groups"):
            if name in options:
                msg = f"{name}= is not for DataArrays, whose dimensions have names; give dims=, and take the result"
                raise GeometryError(msg)
        names = self._names(dims, arguments.bank(kernel)[0][0].ndim)
        described = {name: options.pop(name) for name in DESCRIBED if name in options}
        for name, default in BY_DIMENSION.items():
            if isinstance(described.get(name), Mapping):
                described[name] = _by_name(described[name], names, name, default)
        axes = tuple(self._array.get_axis_num(dim) for dim in names)
        c = Convolution(kernel, flip=flip, axes=axes, **described)
        for dim in names:
            spacing(self._array, dim, warn=True)
        values = c(self._array.data, **options)
        placed = {self._array.dims[axis]: Positions.of(c, self._array.shape, axis) for axis in sorted(axes)}
        first: Sequence[Hashable] = (BANK,) if c.filters is not None else ()
        return xarray.DataArray(
            values, self._coordinates(placed), (*first, *self._array.dims), self._array.name, self._array.attrs
        )

    def _names(self, dims: Dims, rank: int | None) -> tuple[Hashable, ...]:
        """Read the filtered dimensions."""
        have = self._array.dims
        if dims is None:
            names: tuple[Hashable, ...] = tuple(have)
        else:
            names = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
        missing = [name for name in names if name not in have]
        if missing:
            msg = f"there is no dimension {missing[0]!r} in this DataArray; dims= names some of {have}"
            raise GeometryError(msg)
        if rank is not None and len(names) != rank:
            msg = f"the kernel has {rank} axes, but dims={names} names {len(names)}; name one dimension for each"
            raise GeometryError(msg)
        return names

    def _coordinates(self, placed: Mapping[Hashable, Positions]) -> dict[Hashable, xarray.Variable]:
        """Give the coordinates of the result."""
        found: dict[Hashable, xarray.Variable] = {}
        for name, coordinate in self._array.coords.items():
            variable = coordinate.variable
            for dim in variable.dims:
                if dim in placed and variable is not None:
                    variable = placed[dim].moved(variable, dim, own=name == dim)
            if variable is not None:
                found[name] = variable
            else:
                msg = (
                    f"the coordinate {name!r} is not known beyond the array, and is dropped; use mode='same' to keep it"
                )
                warnings.warn(msg, UserWarning, stacklevel=5)
        return found


def _by_name(value: Any, names: Sequence[Hashable], what: str, default: Any = None) -> list[Any]:
    """Give the value of each dimension."""
    if not isinstance(value, Mapping):
        return [value] * len(names)
    unknown = [name for name in value if name not in names]
    if unknown:
        msg = f"{what} names {unknown[0]!r}, which is none of the filtered dimensions {tuple(names)}"
        raise GeometryError(msg)
    missing = [name for name in names if name not in value]
    if missing and default is None:
        msg = f"{what} says nothing about {missing[0]!r}, which is filtered; give one for each of {tuple(names)}"
        raise GeometryError(msg)
    return [value.get(name, default) for name in names]
