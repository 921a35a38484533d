"""NetCDF and HDF5 variables, read box by box through xarray."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import FileError
from faltung.files.memmap import FileSource
from faltung.files.optional import need
from faltung.files.reading import understood
from faltung.files.stores import About, plain

if TYPE_CHECKING:
    from faltung.files.stores import Address, Box


class NetcdfSource(FileSource):
    """One variable of a NetCDF file; ``part`` is its name."""

    def __init__(self, address: Address) -> None:
        xarray = need("xarray", "reading NetCDF")
        self.address = address
        with understood(address.path):
            # Packed and missing values are decoded by `decoded`, as for every other store.
            self.data = xarray.open_dataset(address.path, decode_cf=False, cache=False)
        name = _name(address, self.data)
        self.variable = self.data[name].variable
        self.shape, self.dtype = tuple(self.variable.shape), np.dtype(self.variable.dtype)
        chunks = self.variable.encoding.get("chunksizes")
        self.seekable = not chunks
        self.blocks = tuple(chunks) if chunks else self.shape
        # HDF5 keeps decoded chunks for a while.
        self.working = 2 * math.prod(self.blocks) * self.dtype.itemsize + (4 << 20) if chunks else 0
        dims = tuple(str(dim) for dim in self.variable.dims)
        coordinates = {
            str(dim): (np.asarray(self.data[dim].variable.values), plain(self.data[dim].attrs))
            for dim in dims
            if dim in self.data.variables and self.data[dim].dims == (dim,)
        }
        self.about = About(
            dims, plain(self.variable.attrs), coordinates=coordinates, variable=name, group=plain(self.data.attrs)
        )

    def read(self, box: Box) -> np.ndarray[Any, Any]:
        """Read the samples of a box."""
        self.check_unchanged()
        with understood(self.address.path):
            return np.asarray(self.variable[tuple(slice(*one) for one in box)].values)

    def close(self) -> None:
        """Close the file."""
        self.data.close()


def _name(address: Address, data: Any) -> str:
    names = [str(name) for name in data.variables if data[name].dims != (name,)]
    if address.part is not None:
        if address.part in data.variables:
            return address.part
        msg = f"{address.url}: there is no variable {address.part!r}; it holds {', '.join(names)}"
        raise FileError(msg)
    most = max((data[name].ndim for name in names), default=0)
    largest = [name for name in names if data[name].ndim == most]
    if len(largest) != 1:
        msg = f"{address.url}: holds several variables ({', '.join(names) or 'none'}); choose one with --part NAME"
        raise FileError(msg + " (part=)")
    return largest[0]
