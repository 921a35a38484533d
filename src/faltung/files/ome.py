"""OME-Zarr: the levels of a multiscale image, where each lies in space, and the description of a new one.

Versions 0.4 (Zarr v2) and 0.5 (Zarr v3) of the specification, https://ngff.openmicroscopy.org.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from faltung.files.stores import About

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def multiscale(attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Find the first multiscale image that a group's attributes describe.

    >>> multiscale({"ome": {"multiscales": [{"name": "cells"}]}}), multiscale({})
    ({'name': 'cells'}, None)
    """
    inside = attributes.get("ome", attributes)
    images = inside.get("multiscales") if isinstance(inside, dict) else None
    return dict(images[0]) if isinstance(images, list) and images and isinstance(images[0], dict) else None


def levels(image: Mapping[str, Any]) -> list[str]:
    """List the paths of the levels, the finest first."""
    return [str(one["path"]) for one in image.get("datasets", [])]


def about(attributes: Mapping[str, Any], path: str, ndim: int) -> About:
    """Say what a group tells about one of its levels."""
    image = multiscale(attributes) or {}
    axes = [one if isinstance(one, dict) else {"name": one} for one in image.get("axes", [])]
    level: dict[str, Any] = next((one for one in image.get("datasets", []) if str(one["path"]) == path), {})
    scale, shift = [1.0] * ndim, [0.0] * ndim
    for steps in (level.get("coordinateTransformations", []), image.get("coordinateTransformations", [])):
        for step in steps:
            if step.get("type") == "scale":
                scale = [a * b for a, b in zip(scale, step["scale"], strict=True)]
                shift = [a * b for a, b in zip(shift, step["scale"], strict=True)]
            elif step.get("type") == "translation":
                shift = [a + b for a, b in zip(shift, step["translation"], strict=True)]
    return About(
        dims=tuple(str(one["name"]) for one in axes) if len(axes) == ndim else None,
        scale=tuple(scale),
        translation=tuple(shift),
        units=tuple(one.get("unit") for one in axes) if len(axes) == ndim else None,
        ome=deepcopy(dict(attributes)),
    )


KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def attributes(given: About, placed: Sequence[tuple[str, Sequence[float], Sequence[float]]], name: str,
               zarr_format: int) -> dict[str, Any]:  # fmt: skip
    """Describe a multiscale image whose levels are (path, scale, translation).

    Axes, channels and whatever else the input's group said are kept.
    """
    old = deepcopy(given.ome or {})
    inside = old.pop("ome", None) if "ome" in old else {k: old.pop(k) for k in ("multiscales", "omero") if k in old}
    inside = inside if isinstance(inside, dict) else {}
    image = multiscale({"ome": inside}) or {}
    image.pop("coordinateTransformations", None)
    image.setdefault("name", name)
    if given.dims and not image.get("axes"):
        image["axes"] = [_axis(n, u) for n, u in zip(given.dims, given.units or [None] * len(given.dims), strict=True)]
    image["datasets"] = [
        {
            "path": path,
            "coordinateTransformations": [
                {"type": "scale", "scale": [float(v) for v in scale]},
                {"type": "translation", "translation": [float(v) for v in shift]},
            ],
        }
        for path, scale, shift in placed
    ]
    if zarr_format == 2:
        image["version"] = "0.4"
        return old | {"multiscales": [image]} | {k: v for k, v in inside.items() if k not in ("multiscales", "version")}
    image.pop("version", None)
    return old | {"ome": inside | {"version": "0.5", "multiscales": [image]}}


def _axis(name: str, unit: str | None) -> dict[str, str]:
    kind = KINDS.get(name.lower())
    return {"name": name} | ({"type": kind} if kind else {}) | ({"unit": unit} if unit else {})
