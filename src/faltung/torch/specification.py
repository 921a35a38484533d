"""What an operator is told besides its tensors, as a string, which is what torch's dispatcher can carry."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from faltung.errors import GeometryError
from faltung.pooling import Pooling
from faltung.problem.boundary import Rule
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = 256
Options = tuple[Any, Any, Any, int, Any]
F = TypeVar("F", bound="Callable[..., Any]")
_kept: Kept[str, str] = Kept(KEPT)


def constant(function: F) -> F:
    """Let a graph hold what a function of constants gives, instead of following it."""
    marked: F = torch.compiler.assume_constant_result(function)  # type: ignore[no-untyped-call]
    return marked


def layer(*options: Any) -> str:
    """Write stride, padding, dilation, groups and boundary of a layer."""
    if torch.compiler.is_compiling():
        return _constant(options)
    name = repr(options)  # for 2, 2.0 and True are equal or hash alike, and are not the same stride
    found = _kept.get(name)
    if found is None:
        found = written(options)
        _kept.keep(name, found)
    return found


@lru_cache(KEPT)
def options_of(spec: str) -> Options:
    """Read them again."""
    options: Options = _frozen(json.loads(spec))
    return options


def written(asked: Any) -> str:
    """Write numbers, names and sequences of them; GeometryError for anything else."""
    try:
        return json.dumps(asked, default=_plain)
    except TypeError:
        msg = f"torch's operators take numbers, names of rules and sequences of them, not {asked!r}"
        raise GeometryError(msg) from None


@lru_cache(KEPT)
def pooling_of(spec: str) -> Pooling:
    """Make a pooling of its arguments."""
    asked = _frozen(json.loads(spec))
    return Pooling(asked.pop("window"), **asked)


@lru_cache(KEPT)
def linear(spec: str) -> str:
    """Give the derivative of a layer or sum by its input: constants beyond the edges become zero."""
    asked = json.loads(spec)
    if isinstance(asked, dict):
        return json.dumps({**asked, "boundary": _linear(asked["boundary"])})
    return json.dumps([*asked[:-1], _linear(asked[-1])])


@constant
def _constant(options: tuple[Any, ...]) -> str:
    """Write what a graph holds as a constant: no shape is part of it."""
    return written(options)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.integer, np.floating, np.ndarray)):
        return value.tolist()
    if isinstance(value, Rule):
        return str(value)
    raise TypeError


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _frozen(entry) for name, entry in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _linear(boundary: Any) -> Any:
    if isinstance(boundary, str):
        return "zero" if "constant" in boundary else boundary
    if not isinstance(boundary, list):
        return boundary
    return "zero" if boundary[:1] == ["constant"] else [_linear(entry) for entry in boundary]
