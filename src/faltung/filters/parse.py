"""Filters as text: ``gaussian:sigma=2,truncate=3``."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from faltung.errors import ProblemError
from faltung.filters.kernels import box, custom, gaussian, laplacian, sharpen, sobel

if TYPE_CHECKING:
    from collections.abc import Callable

    from faltung.filters.filter import Filter

REGISTRY: dict[str, Callable[..., Filter]] = {
    "gaussian": gaussian,
    "box": box,
    "sobel": sobel,
    "laplacian": laplacian,
    "sharpen": sharpen,
    "custom": custom,
}


def parse(text: str, ndim: int = 2) -> Filter:
    """Return the filter that ``NAME`` or ``NAME:parameter=value,...`` describes, with ``ndim`` axes.

    A value may be one per axis: ``gaussian:sigma=1,2.5,truncate=3`` has two sigmas. ``custom:file=K.npy``
    takes everything after ``=`` as the path.

    Raises:
        ProblemError: an unknown filter or parameter, a missing or repeated one, or text without ``=``; the
            message lists what exists. The filter itself may refuse a value.

    >>> parse("box:size=3,5").shape
    (3, 5)
    """
    name, _, rest = text.partition(":")
    if name not in REGISTRY:
        msg = f"unknown filter {name!r}; there are {_listing()}"
        raise ProblemError(msg)
    given = _values(name, rest)
    allowed = parameters(name)
    unknown = [key for key in given if key not in allowed]
    if unknown:
        takes = ", ".join(allowed) or "no parameters"
        msg = f"filter {name} has no parameter {unknown[0]!r}; it takes {takes}"
        raise ProblemError(msg)
    missing = [key for key, default in allowed.items() if default is None and key not in given]
    if missing:
        msg = f"filter {name} needs {missing[0]}: write {_usage(name)}"
        raise ProblemError(msg)
    return REGISTRY[name](**given, ndim=ndim)


def parameters(name: str) -> dict[str, object]:
    """Return the parameters of a registered filter and their defaults; ``None`` marks one that must be given.

    ``ndim`` is left out: it follows from the axes that are filtered.

    >>> parameters("gaussian")
    {'sigma': None, 'truncate': 4.0}
    """
    found = inspect.signature(REGISTRY[name]).parameters.values()
    return {p.name: None if p.default is inspect.Parameter.empty else p.default for p in found if p.name != "ndim"}


def _values(name: str, text: str) -> dict[str, object]:
    if name == "custom" and text.startswith("file="):
        return {"file": text.removeprefix("file=")}
    texts: dict[str, list[str]] = {}
    for piece in text.split(",") if text else []:
        key, equals, value = piece.partition("=")
        if equals:
            if key in texts:
                msg = f"filter {name}: {key} is given twice in {text!r}"
                raise ProblemError(msg)
            texts[key] = [value]
        elif texts:
            # A piece without a name is one more value of the parameter before it.
            texts[next(reversed(texts))].append(piece)
        else:
            msg = f"filter {name}: {piece!r} has no name; write {_usage(name)}"
            raise ProblemError(msg)
    return {key: _value(values) for key, values in texts.items()}


def _value(texts: list[str]) -> object:
    numbers = [_number(text) for text in texts]
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _listing() -> str:
    return "; ".join(_usage(name) for name in REGISTRY)


def _usage(name: str) -> str:
    pieces = [f"{key}={'...' if value is None else value}" for key, value in parameters(name).items()]
    return name + (":" if pieces else "") + ",".join(pieces)
