"""Shapes of layers: known ones become problems, symbolic ones (of a compiled graph) are computed with."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from faltung.layers import description
from faltung.problem import boundary as boundaries
from faltung.problem import geometry
from faltung.torch.specification import constant, options_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.problem.boundary import Sides
    from faltung.problem.problem import Problem

KEPT = 256
FLOAT = np.dtype(np.float32)
MANY = 2**30


@lru_cache(KEPT)
def problem(
    x: tuple[int, ...], weight: tuple[int, ...], dtype: np.dtype, outs: tuple[int, ...] | None, spec: str
) -> Problem:
    """Describe the layer for an input and a weight of these shapes; `outs` where it has fewer outputs than fit.

    Raises GeometryError for what does not fit.
    """
    found = description.layer_of(tuple(x), dtype, description.Weight(tuple(weight), dtype), *options_of(spec))
    if not outs:
        return found
    axes = tuple(replace(axis, out=n) for axis, n in zip(found.geometry, outs, strict=True))
    return replace(found, geometry=axes)


def outputs(x: Sequence[int], weight: Sequence[int], spec: str) -> list[int]:
    """Count the outputs along each axis of a layer for an input of this shape, of which sizes may be symbols."""
    if all(type(n) is int for n in (*x, *weight)):
        return [axis.out for axis in problem(tuple(x), tuple(weight), FLOAT, None, spec).geometry]
    sizes, window = x[len(x) - len(weight) + 2 :], weight[2:]
    axes = zip(sizes, window, *numbers(sizes, window, spec), strict=True)
    return [(n + low + high - d * (k - 1) - 1) // s + 1 for n, k, s, d, (low, high) in axes]


def transposed_sizes(x: Sequence[int], weight: Sequence[int], output_padding: Any, spec: str) -> list[int]:
    """Count the outputs of the adjoint of a layer."""
    if torch.compiler.is_compiling():
        sizes = x[len(x) - len(weight) + 2 :]
        growth = _growth(tuple(weight), output_padding, spec)
        return [n * stride + more for n, (stride, more) in zip(sizes, growth, strict=True)]
    stride, padding, dilation, groups, _ = options_of(spec)
    return list(
        description.transposed_sizes(tuple(x), tuple(weight), stride, padding, output_padding, dilation, groups)
    )


@constant
def _growth(weight: tuple[int, ...], output_padding: Any, spec: str) -> tuple[tuple[int, int], ...]:
    """Give (stride, more) of each axis: of n samples, the adjoint of a layer makes n·stride + more."""
    stride, padding, dilation, groups, _ = options_of(spec)
    rank = len(weight) - 2
    many = (weight[0], *[MANY] * rank)
    sizes = description.transposed_sizes(many, weight, stride, padding, output_padding, dilation, groups)
    strides = geometry.per_axis(stride, rank, "stride", least=1)
    return tuple((s, n - MANY * s) for s, n in zip(strides, sizes, strict=True))


def numbers(sizes: Sequence[int], window: Sequence[int], spec: str) -> tuple[Sequence[Any], ...]:
    """Give stride, dilation and (low, high) padding of each axis."""
    stride, padding, dilation, _, _ = options_of(spec)
    rank = len(window)
    named = description.paddings(padding, sizes, window, stride, dilation)
    return (
        geometry.per_axis(stride, rank, "stride", least=1),
        geometry.per_axis(dilation, rank, "dilation", least=1),
        named if isinstance(padding, str) else geometry.pairs(named, rank),
    )


def sides_of(spec: str, rank: int) -> tuple[Sides, ...]:
    """Read the boundary rules of each axis."""
    return boundaries.parse(options_of(spec)[-1], rank, "zero")
