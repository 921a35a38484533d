"""New Zarr arrays and groups: how they are stored, and what is written before the first chunk."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.files.optional import need
from faltung.files.zarr_store import is_zarr, writing, written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faltung.files.stores import Address


@dataclass(frozen=True)
class Layout:
    """How an array is to be stored."""

    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    zarr_format: int
    compressors: tuple[Any, ...] | None
    fill: Any
    array: str  # the path of the array in its store: "" or a level
    dims: tuple[str, ...] | None
    attributes: dict[str, Any]
    group: dict[str, Any] | None

    @property
    def units(self) -> tuple[int, ...]:
        """What is written at once."""
        return self.shards or self.chunks

    def to_json(self) -> dict[str, Any]:
        """Describe it in full, to be compared."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str, sort_keys=True))
        return found


def create(address: Address, layout: Layout, coordinates: Mapping[str, tuple[Any, Any]]) -> None:
    """Create an empty array, with its group and the coordinates of its dimensions if it has them."""
    zarr = need("zarr", "writing a Zarr store")
    store = writing(address.url)
    with written(address):
        if layout.group is not None:
            zarr.create_group(store, zarr_format=layout.zarr_format, attributes=layout.group)
        names = layout.dims if layout.zarr_format == 3 else None
        extra = {"_ARRAY_DIMENSIONS": list(layout.dims)} if layout.dims and layout.zarr_format == 2 else {}
        options: dict[str, Any] = {} if layout.compressors is None else {"compressors": layout.compressors}
        zarr.create_array(
            store, name=layout.array or None, shape=layout.shape, dtype=layout.dtype, chunks=layout.chunks,
            shards=layout.shards, zarr_format=layout.zarr_format, fill_value=layout.fill, dimension_names=names,
            attributes=coded(layout.attributes, np.dtype(layout.dtype)) | extra, **options,
        )  # fmt: skip
        for name, (values, attributes) in coordinates.items():
            _coordinate(zarr, store, layout, name, values, attributes)


def _coordinate(zarr: Any, store: Any, layout: Layout, name: str, values: Any, attributes: dict[str, Any]) -> None:
    """Write the coordinate of a dimension as xarray does: an array of the dimension's name, with itself as axis."""
    named = {"dimension_names": (name,)} if layout.zarr_format == 3 else {}
    extra = {"_ARRAY_DIMENSIONS": [name]} if layout.zarr_format == 2 else {}
    made = zarr.create_array(
        store, name=name, shape=values.shape, dtype=values.dtype, chunks=(max(1, len(values)),),
        zarr_format=layout.zarr_format, attributes=coded(attributes, values.dtype) | extra, **named,
    )  # fmt: skip
    made[...] = values


def describe(address: Address, attributes: dict[str, Any] | None, zarr_format: int = 3) -> None:
    """Write the attributes of a group, which is made if there is none; None leaves those of an old one."""
    zarr = need("zarr", "writing a Zarr store")
    with written(address):
        group = zarr.open_group(writing(address.url), mode="a", zarr_format=None if is_zarr(address) else zarr_format)
        if attributes is not None:
            group.attrs.put(attributes)


def coded(attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Write the missing value of floats as xarray does, for JSON has no NaN: eight bytes in base 64.

    >>> coded({"_FillValue": -999.0}, np.dtype("float32"))
    {'_FillValue': 'AAAAAAA4j8A='}
    """
    found = dict(attributes)
    if "_FillValue" in found and dtype.kind == "f":
        number = float(np.asarray(found["_FillValue"]).reshape(-1)[0])
        found["_FillValue"] = base64.standard_b64encode(struct.pack("<d", number)).decode()
    return found
