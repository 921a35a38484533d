"""One convolution after another: one convolution where that is exact, a chain that says why elsewhere."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.analysis.chain import Chain
from faltung.analysis.taps import weights_of
from faltung.analysis.window import Window, windows
from faltung.errors import BoundaryError, GeometryError
from faltung.problem.boundary import Rule
from faltung.problem.kernel import facts

if TYPE_CHECKING:
    from faltung.convolution import Convolution
    from faltung.problem.boundary import Sides

ZERO: Sides = (Rule("zero"), Rule("zero"))
MIRRORS = ("symmetric", "reflect", "antireflect")


def compose(second: Convolution | Chain, first: Convolution | Chain) -> Convolution | Chain:
    """Give `second` after `first` as one convolution, if one equals it for every array; otherwise as a `Chain`.

    Exact, axis by axis, is: a second that reads nothing outside (valid); a first with one tap; wrap after wrap where
    the first keeps the size; zero after zero where the first keeps all it has (full); and a mirror (symmetric, reflect,
    antireflect) after the same mirror where the first is even and centred. The kernel is the convolution of both, at a
    dilation that holds both lattices: int64 for integers, else float64 or complex128. Strides multiply. Equal means in
    exact arithmetic: rounding, and the dtypes that integers pass through, are those of one pass.
    Raises BoundaryError for a constant other than 0 that is read (affine), GeometryError for layers whose channels do
    not meet. Source: (x * a) * b = x * (a * b).

    >>> from faltung import Convolution
    >>> edge, smooth = Convolution([1, -1], mode="full"), Convolution([1, 2, 1], mode="full")
    >>> compose(smooth, edge).kernel, compose(smooth, edge).mode
    (array([ 1,  1, -1, -1]), 'full')
    >>> compose(Convolution([1, 2, 1], boundary="zero"), edge.like([1, 1], boundary="edge")).reason
    'on axis 0 the second reads outside by zero what the first extended by edge'
    """
    if isinstance(first, Chain) or isinstance(second, Chain):
        return _chain(second, first)
    return _one(second, first)


def _chain(second: Convolution | Chain, first: Convolution | Chain) -> Convolution | Chain:
    """Join the last step of the first with the first of the second, where they can be one."""
    before = list(first) if isinstance(first, Chain) else [first]
    after = list(second) if isinstance(second, Chain) else [second]
    joined = _one(after[0], before[-1])
    middle = list(joined) if isinstance(joined, Chain) else [joined]
    steps = [*before[:-1], *middle, *after[1:]]
    if len(steps) == 1:
        return steps[0]
    chains = [chain.reason for chain in (joined, first, second) if isinstance(chain, Chain)]
    return Chain(steps, chains[0])


def _one(second: Convolution, first: Convolution) -> Convolution | Chain:
    reason = _unlike(second, first)
    if reason:
        return Chain((first, second), reason)
    pairs = list(zip(windows(first), windows(second), strict=True))
    even = [parity == "even" for parity in _parities(first)]
    sides: list[Sides] = []
    for axis, ((a, b), one, two) in enumerate(zip(pairs, first.sides, second.sides, strict=True)):
        for window, rules in ((a, one), (b, two)):
            _check_linear(axis, window, rules)
        chosen = _boundary(a, b, one, two, even[axis])
        if isinstance(chosen, str):
            return Chain((first, second), f"on axis {axis} {chosen}")
        sides.append(chosen)
    kernel = _kernel(second, first, pairs)
    if kernel is None:
        return Chain((first, second), "the weights of their product may not fit int64")
    return _described(first, second, kernel, pairs, sides)


def _unlike(second: Convolution, first: Convolution) -> str | None:
    """Say what about two operations, borders aside, has no common kernel."""
    if first.channels != second.channels:
        return "one is a layer with channels and the other a filter"
    if first.channels:
        found, wanted = len(first.kernels), second.kernels[0].shape[0] * second.groups
        if found != wanted:
            msg = f"the first layer gives {found} channels, but the second takes {wanted}; their numbers must agree"
            raise GeometryError(msg)
    if first.filters is not None:
        return "the first is a bank, whose maps lie along an axis of their own"
    if len(first.window) != len(second.window) or first.axes != second.axes:
        one, two = (f"axes={c.axes} with a kernel of {len(c.window)}" for c in (first, second))
        return f"the first filters {one} axes and the second {two}"
    return None


def _parities(c: Convolution) -> list[str | None]:
    """Tell along which axes all kernels are even."""
    found = [facts(k).symmetric[1:] if c.channels else facts(k).symmetric for k in c.kernels]
    return ["even" if {parity[i] for parity in found} == {"even"} else None for i in range(len(c.window))]


def _check_linear(axis: int, window: Window, rules: Sides) -> None:
    for rule, pad in zip(rules, (window.low, window.high), strict=True):
        if pad and rule.is_constant and rule.value != 0:
            msg = f"axis {axis} is extended by {rule}, so the operation is affine and does not compose; "
            raise BoundaryError(msg + "apply the two one after the other, or use boundary='zero'")


def _boundary(a: Window, b: Window, one: Sides, two: Sides, even: bool) -> Sides | str:
    """Give the boundary of `b` after `a` along one axis, or the reason why there is none."""
    if b.low == b.high == 0:
        return one
    if a.span == a.stride == 1 and a.low == a.high == 0:
        return two
    if a.stride > 1:
        return f"the first keeps every {a.stride}. sample, and the second extends what is left"
    names = {rule.name for rule in (*one, *two)}
    reach, shown = a.span - 1, [" and ".join(dict.fromkeys(map(str, pair))) for pair in (one, two)]
    if all(rule.is_constant for rule in (*one, *two)):
        kept = a.low >= reach and a.high >= reach
        return ZERO if kept else "the first cuts off outputs that the second would read; with mode='full' it keeps them"
    if len(names) > 1:
        return f"the second reads outside by {shown[1]} what the first extended by {shown[0]}"
    if names == {"wrap"}:
        return (
            one if a.low + a.high == reach else "the first changes the size of the torus; with mode='same' it does not"
        )
    if names <= set(MIRRORS) and 2 * a.low == 2 * a.high == reach:
        return one if even else f"the kernel of the first is not even, so {shown[0]} outside is not what it would give"
    return f"what the second finds outside by {shown[1]} is not what the first would give there"


def _kernel(second: Convolution, first: Convolution, pairs: list[tuple[Window, Window]]) -> np.ndarray | None:
    """Convolve the weights, (outputs, inputs/groups, *taps); None where integers may overflow."""
    groups = gcd(first.groups, second.groups)
    one, two = (_grouped(c, groups) for c in (first, second))
    if one.dtype.kind == two.dtype.kind == "i":
        largest = [int(np.abs(w.astype(object)).sum()) for w in (one, two)]
        if largest[0] * largest[1] >= 2**63:
            return None
    steps = [_step(a, b) for a, b in pairs]
    sizes = [(a.span - 1 + a.stride * (b.span - 1)) // step + 1 for (a, b), step in zip(pairs, steps, strict=True)]
    kernel = np.zeros((groups, two.shape[1], one.shape[2], *sizes), np.result_type(one, two))
    for tap in np.ndindex(two.shape[3:]):
        at = [a.stride * b.dilation * t // step for (a, b), t, step in zip(pairs, tap, steps, strict=True)]
        place = tuple(
            slice(start, start + (a.span - 1) // step + 1, a.dilation // step or 1)
            for start, (a, _), step in zip(at, pairs, steps, strict=True)
        )
        kernel[:, :, :, *place] += np.einsum("gom,gmc...->goc...", two[:, :, :, *tap], one)
    return kernel.reshape(-1, *kernel.shape[2:])


def _grouped(c: Convolution, blocks: int) -> np.ndarray:
    """Give the weights as (blocks, outputs/blocks, inputs/blocks, *taps), zero between groups of one block."""
    window = weights_of(c, tuple(range(len(c.window))), list(c.window))
    outputs, inputs = window.shape[0], window.shape[1]
    within = c.groups // blocks
    wide = np.zeros((blocks, within, outputs // c.groups, within, inputs, *window.shape[2:]), window.dtype)
    parts = window.reshape(blocks, within, outputs // c.groups, *window.shape[1:])
    for g in range(within):
        wide[:, g, :, g] = parts[:, g]
    return wide.reshape(blocks, outputs // blocks, within * inputs, *window.shape[2:])


def _step(a: Window, b: Window) -> int:
    """Give the common lattice of both kernels' taps."""
    return gcd(a.dilation if a.taps > 1 else 0, a.stride * b.dilation if b.taps > 1 else 0) or 1


def _described(
    first: Convolution, second: Convolution, kernel: np.ndarray, pairs: list[tuple[Window, Window]], sides: list[Sides]
) -> Convolution:
    """Describe the product, with a mode where it has one."""
    steps = [_step(a, b) for a, b in pairs]
    pads = [(a.low + a.stride * b.low, a.high + a.stride * b.high) for a, b in pairs]
    reach = [a.span - 1 + a.stride * (b.span - 1) for a, b in pairs]
    kept: dict[str, Any] = {"mode": "same", "padding": tuple(pads), "anchor": None}
    if all(low + high == r and low % step == 0 for (low, high), r, step in zip(pads, reach, steps, strict=True)):
        places = zip(pads, reach, steps, strict=True)
        anchors = tuple((r - low if first.flip else low) // step for (low, _), r, step in places)
        centred = anchors == tuple(k // 2 for k in kernel.shape[2:])
        kept = {"mode": "same", "padding": None, "anchor": None if centred else anchors}
    elif all(low == high == 0 for low, high in pads):
        kept = {"mode": "valid", "padding": None, "anchor": None}
    elif all(low == high == r for (low, high), r in zip(pads, reach, strict=True)):
        kept = {"mode": "full", "padding": None, "anchor": None}
    along = tuple(range(2, kernel.ndim))
    window = np.flip(kernel, along) if first.flip else kernel
    if not first.channels:
        window = window[:, 0] if first.flip else window[:, 0].conj()
    rules = {rule for pair in sides for rule in pair}
    return first.like(
        window if first.channels else list(window) if second.filters is not None else window[0],
        boundary=str(rules.pop()) if len(rules) == 1 else [tuple(pair) for pair in sides],
        stride=tuple(a.stride * b.stride for a, b in pairs) if pairs else 1,
        dilation=tuple(steps) if steps else 1,
        groups=gcd(first.groups, second.groups),
        **kept,
    )
