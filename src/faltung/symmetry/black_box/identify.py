"""Find out which convolution a function is: what is linear and commutes with shifts is one, and here is which."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import replace
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import DtypeError, GeometryError, ProblemError
from faltung.problem.boundary import Rule
from faltung.symmetry.black_box.dtypes import TRIED, dtype_rules
from faltung.symmetry.black_box.identified import Identification
from faltung.symmetry.black_box.probing import SPECK, AxisProbe, BlackBox, nonlinearity, probe_axis, taps
from faltung.symmetry.black_box.rules import UNKNOWN, UNREAD, common, find_rules, predict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, DTypeLike

    from faltung.problem.boundary import Sides
    from faltung.symmetry.black_box.rules import Side
    from faltung.symmetry.elements import Array

__all__ = ["Identification", "identify"]


def identify(
    f: Callable[[Any], Any],
    shape: int | Sequence[int],
    *,
    kernel: ArrayLike | None = None,
    dtype: DTypeLike | None = None,
    dtypes: Sequence[DTypeLike] = TRIED,
    seed: int = 0,
) -> Identification:
    """Probe a black box, and find the convolution it is, or the first thing that it does as none.

    A function that is linear and commutes with shifts is a convolution, and its answer to an impulse is the kernel. So
    f is asked for zeros, for random numbers (is it linear?), for slices in the middle (stride and reach), for impulses
    (the weights) and beyond the edges (the rule is the one that predicts what comes out); then random numbers decide.

    Parameters
    ----------
    f : callable, or torch module
        From one array to one of the same rank. A module gets tensors, in eval mode.
    shape : int or sequence of int
        Of the input; each axis about four times as long as the kernel. Axes of one sample stay as they are.
    kernel : array, optional
        What f was given, to see whether it turns it round.
    dtype : floating or complex dtype
        Of the probes; float64, or that of the module's parameters. Rounding up to 1e-9 (float32: 1e-4, float16: 1e-2)
        of the largest output is no difference.
    dtypes : sequence of dtypes
        To try beside, for what f makes of them; leave out those that f does not survive.
    seed : int
        Of the random numbers.

    Returns
    -------
    Identification

    Raises
    ------
    ProblemError : f fails, ignores its input, is random, or returns what is not finite
    GeometryError : f changes the rank, enlarges, or has a kernel that is too large for the shape
    DtypeError : a dtype that is not floating

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import ndimage
    >>> from faltung.symmetry import identify
    >>> found = identify(lambda x: ndimage.convolve1d(x, [1, 2, 4], mode="mirror"), 20, kernel=[1, 2, 4])
    >>> found.kernel.tolist(), found.flip, found.anchor, found.boundary
    ([4.0, 2.0, 1.0], True, (1,), (('reflect', 'reflect'),))
    >>> identify(np.sort, 20).difference.partition(":")[0]
    'f(a + b) is not f(a) + f(b)'
    """
    full = tuple(shape) if not isinstance(shape, (int, np.integer)) else (int(shape),)
    called, probe, context = _callable(f, dtype)
    if probe.kind not in "fc":
        msg = f"dtype {probe}: probes are floating or complex numbers; what f makes of integers is found out beside"
        raise DtypeError(msg)
    kept = tuple(n for n in full if n != 1)
    if not kept:
        msg = f"shape {full} has no axis of more than one sample; identify needs at least 4 along some axis"
        raise GeometryError(msg)

    def inner(x: Array) -> Any:
        y = called(x.reshape(full))
        return y[tuple(0 if n == 1 else slice(None) for n in full)] if getattr(y, "ndim", None) == len(full) else y

    with context:
        box = BlackBox(inner, kept, probe, np.random.default_rng(seed), _name(f))
        return _identified(box, kernel, dtypes)


def _identified(box: BlackBox, kernel: ArrayLike | None, dtypes: Sequence[DTypeLike]) -> Identification:
    found = Identification(box.name, box.shape, box.zero.shape)
    if text := nonlinearity(box):
        return replace(found, difference=text)
    axes = [probe_axis(box, axis) for axis in range(len(box.shape))]
    if text := next((f"axis {i}: {a.text}" for i, a in enumerate(axes) if a.text), ""):
        return replace(found, difference=f"f does not commute with shifts; {text}")
    weights = taps(box, axes)
    sides = common(find_rules(box, weights, axes))
    rules: list[Sides | None] = [_rules(low, high) for low, high in sides]
    offset, rules, text = _constants(box, weights, axes, rules)
    texts = [s.difference for pair in sides for s in pair if s.difference] + [text] * bool(text)

    def expect(x: Array) -> Array:
        y = np.full(box.zero.shape, np.nan, np.result_type(weights, x, float))
        inside = tuple(a.interior if r is None else slice(None) for a, r in zip(axes, rules, strict=True))
        y[inside] = offset + predict(x.astype(np.result_type(x, float)), weights, axes, rules)
        return y

    x = box.random()
    got, expected = box(x) + box.zero, expect(x)
    known, scale = np.isfinite(expected), float(np.abs(got).max())
    shown = box.differs(np.where(known, got, 0), np.where(known, expected, 0), scale)
    texts += [f"f(x) is {shown}"] * bool(shown)
    dilation, compact = _undilated(weights)
    return replace(
        found, kernel=compact, flip=_flip(weights, kernel, box.tolerance), anchor=tuple(a.low for a in axes),
        stride=tuple(a.stride for a in axes), dilation=dilation, padding=tuple((a.low, a.high) for a in axes),
        boundary=tuple(_names(pair, r) for pair, r in zip(sides, rules, strict=True)),
        others=tuple((low.rules[1:], high.rules[1:]) for low, high in sides), offset=offset,
        dtypes=dtype_rules(box, expect, dtypes), residual=float(np.abs(got - expected)[known].max(initial=0)) / scale,
        difference="; ".join(texts),
    )  # fmt: skip


def _rules(low: Side, high: Side) -> Sides | None:
    """Give the rules of an axis, None if one is unknown; a side that is not read may have any."""
    if UNKNOWN in (low.name, high.name):
        return None
    first, last = (Rule("zero" if s.name == UNREAD else s.name) for s in (low, high))
    return first, last


def _constants(
    box: BlackBox, kernel: Array, axes: list[AxisProbe], rules: list[Sides | None]
) -> tuple[float, list[Sides | None], str]:
    """Find, in f(0), the offset and the constant beyond the edges; or say why there is none."""
    inside = tuple(a.interior for a in axes)
    values = box.zero[inside]
    limit = box.tolerance * max(float(np.abs(box.zero).max()), np.finfo(float).tiny)
    if not values.size or np.ptp(values) > limit:
        return 0.0, rules, "f(0) differs from place to place" if values.size else "no output reads inside samples alone"
    offset = float(values.flat[0].real)
    rest = box.zero - offset
    if np.abs(rest).max() <= limit or None in rules:
        return offset, rules, ""
    ones: list[Sides | None] = []
    for pair in rules:
        assert pair is not None
        low, high = (Rule("constant", 1) if r.name == "zero" else r for r in pair)
        ones.append((low, high))
    response = predict(np.zeros(box.shape), kernel, axes, ones)
    value = float((rest * response).sum().real / max(float((response**2).sum().real), np.finfo(float).tiny))
    if np.abs(rest - value * response).max() > limit:
        return offset, rules, "f(0) is no constant beyond the edges"
    constant = Rule("constant", float(f"{value:.6g}"))
    return offset, [p and _replaced(p, constant) for p in rules], ""


def _replaced(pair: Sides, constant: Rule) -> Sides:
    low, high = (constant if r.name == "zero" else r for r in pair)
    return low, high


def _names(pair: tuple[Side, Side], rules: Sides | None) -> tuple[str, str]:
    low, high = (s.name if s.name in (UNREAD, UNKNOWN) or rules is None else "" for s in pair)
    return (low, high) if rules is None else (low or str(rules[0]), high or str(rules[1]))


def _undilated(kernel: Array) -> tuple[tuple[int, ...], Array]:
    """Leave out the zeros between taps where at least three are evenly apart; two are a kernel with a hole."""
    steps = []
    for axis in range(kernel.ndim):
        used = np.flatnonzero(np.abs(kernel).max(axis=tuple(i for i in range(kernel.ndim) if i != axis)))
        step = gcd(*(int(i) for i in used), kernel.shape[axis] - 1) if used.size > 2 else 1
        steps.append(max(step, 1))
    return tuple(steps), kernel[tuple(slice(None, None, s) for s in steps)]


def _flip(found: Array, given: ArrayLike | None, tolerance: float) -> bool | None:
    if given is None:
        return None
    k, g = (_trimmed(each, tolerance).squeeze() for each in (found, np.asarray(given)))
    limit = tolerance * float(np.abs(k).max())
    # A correlation conjugates what it is given, so both count.
    as_given, turned = (
        s.shape == k.shape and any(bool(np.abs(k - one).max() <= limit) for one in (s, s.conj()))
        for s in (g, np.flip(g))
    )
    return None if as_given == turned else turned


def _trimmed(kernel: Array, tolerance: float) -> Array:
    """Leave out zeros around the others."""
    used = np.argwhere(np.abs(kernel) > tolerance * SPECK * np.abs(kernel).max(initial=0))
    return (
        kernel[tuple(slice(a, b + 1) for a, b in zip(used.min(0), used.max(0), strict=True))] if used.size else kernel
    )


def _callable(f: Any, dtype: DTypeLike | None) -> tuple[Callable[[Array], Any], np.dtype, Any]:
    torch = sys.modules.get("torch")
    if not callable(f):
        msg = f"f={f!r} can not be called; give a function of one array, or a torch module"
        raise ProblemError(msg)
    if torch is None or not isinstance(f, torch.nn.Module):
        return f, np.dtype(np.float64 if dtype is None else dtype), nullcontext()
    from faltung.symmetry.audit.layers import evaluating

    like = next(f.parameters(), torch.empty(0))
    known = np.dtype(str(like.dtype).removeprefix("torch.")) if dtype is None else np.dtype(dtype)
    return lambda x: f(torch.from_numpy(x).to(like.device)), known, evaluating(f)


def _name(f: Any) -> str:
    f = getattr(f, "func", f)
    return getattr(f, "__name__", None) or type(f).__name__
