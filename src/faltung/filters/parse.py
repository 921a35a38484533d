"""Filters as text: ``gaussian:sigma=2,truncate=3``."""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING

from faltung.errors import ProblemError
from faltung.filters.ball import disk
from faltung.filters.custom import custom
from faltung.filters.differences import dog, laplacian, log, scharr, sharpen, sobel, unsharp
from faltung.filters.oriented import gabor, motion
from faltung.filters.smooth import binomial, box, gaussian, lanczos

if TYPE_CHECKING:
    from collections.abc import Callable

    from faltung.filters.filter import Filter

REGISTRY: dict[str, Callable[..., Filter]] = {
    "gaussian": gaussian,
    "box": box,
    "disk": disk,
    "binomial": binomial,
    "lanczos": lanczos,
    "motion": motion,
    "sobel": sobel,
    "scharr": scharr,
    "laplacian": laplacian,
    "log": log,
    "dog": dog,
    "gabor": gabor,
    "sharpen": sharpen,
    "unsharp": unsharp,
    "custom": custom,
}

WORDS = {"true": True, "false": False, "none": None}


def parse(text: str, ndim: int = 2) -> Filter:
    """Return the filter that ``NAME`` or ``NAME:parameter=value,...`` describes, with ``ndim`` axes.

    A value may be one per axis: ``gaussian:sigma=1,2.5,truncate=3`` has two sigmas. ``true``, ``false`` and ``none``
    are what they say. ``custom:file=K.npy`` takes everything after ``=`` as the path.

    Raises:
        ProblemError: an unknown filter or parameter, a missing or repeated one, or text without ``=``; the
            message lists what exists. The filter itself may refuse a value.

    >>> parse("box:size=3,5").shape
    (3, 5)
    >>> parse("gaussian:sigma=2,order=0,1").kernel.sum().round(12) + 0
    np.float64(0.0)
    """
    name, _, rest = text.partition(":")
    allowed = parameters(name)
    given = _values(name, rest)
    unknown = [key for key in given if key not in allowed]
    if unknown:
        takes = ", ".join(allowed) or "no parameters"
        msg = f"filter {name} has no parameter {unknown[0]!r}; it takes {takes}"
        raise ProblemError(msg)
    missing = [key for key, default in allowed.items() if default is ... and key not in given]
    if missing:
        msg = f"filter {name} needs {missing[0]}: write {usage(name)}"
        raise ProblemError(msg)
    return REGISTRY[name](**given, ndim=ndim)


def parameters(name: str) -> dict[str, object]:
    """Return the parameters of a registered filter and their defaults; ``...`` marks one that must be given.

    ``ndim`` is left out: it follows from the axes that are filtered.

    Raises:
        ProblemError: there is no such filter; the message lists those there are.

    >>> parameters("disk")
    {'radius': Ellipsis, 'antialias': True, 'spacing': 1.0}
    """
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        msg = f"unknown filter {name!r}{hint}; there are {'; '.join(usage(n, brief=True) for n in REGISTRY)}"
        raise ProblemError(msg)
    found = inspect.signature(REGISTRY[name]).parameters.values()
    return {p.name: ... if p.default is inspect.Parameter.empty else p.default for p in found if p.name != "ndim"}


def usage(name: str, *, brief: bool = False) -> str:
    """Return how a filter is written: what must be given and, unless ``brief``, the defaults of what may be.

    >>> usage("dog"), usage("dog", brief=True)
    ('dog:sigma=...,ratio=1.6,truncate=4.0,spacing=1.0', 'dog:sigma=...')
    """
    allowed = parameters(name).items()
    given = {k: "..." if v is ... else v for k, v in allowed if v is ... or (v is not None and not brief)}
    pieces = [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in given.items()]
    return name + (":" if pieces else "") + ",".join(pieces)


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
            msg = f"filter {name}: {piece!r} has no name; write {usage(name)}"
            raise ProblemError(msg)
    return {key: _value(values) for key, values in texts.items()}


def _value(texts: list[str]) -> object:
    values = [WORDS[text] if text in WORDS else _number(text) for text in texts]
    return values[0] if len(values) == 1 else tuple(values)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
