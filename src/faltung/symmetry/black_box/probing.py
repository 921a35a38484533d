"""Ask a black box: is it linear, what is its stride, which samples does an output read, and with which weights?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from faltung.errors import GeometryError, ProblemError
from faltung.symmetry.audit.targets import one_array

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from faltung.symmetry.elements import Array

MAX_STRIDE = 8
TOLERANCES = {2: 1e-2, 4: 1e-4}  # relative, by bytes of the coarser of the two dtypes; 1e-9 for all others
SPECK = 1e-3  # of the tolerance: what is below counts as zero


@dataclass
class BlackBox:
    """A function under test: it is given copies, and what it returns is one finite array of one shape.

    `zero` is f(0), `tolerance` is relative to the largest output.
    """

    f: Callable[[Any], Any]
    shape: tuple[int, ...]
    dtype: np.dtype
    rng: np.random.Generator
    name: str
    zero: Array = field(init=False)
    tolerance: float = field(init=False)

    def __post_init__(self) -> None:
        self.zero = self.call(np.zeros(self.shape, self.dtype), "zeros")
        if self.zero.ndim != len(self.shape):
            msg = f"{self.name} turns shape {self.shape} into {self.zero.shape}; identify needs a result of the same "
            msg += "rank: drop or add the axes inside the function, as in lambda x: f(x[None])[0]"
            raise GeometryError(msg)
        if not self.zero.size:
            msg = f"{self.name} turns shape {self.shape} into the empty {self.zero.shape}; give a larger shape"
            raise GeometryError(msg)
        sizes = [dtype.type(0).real.itemsize for dtype in (self.dtype, self.zero.dtype) if dtype.kind in "fc"]
        self.tolerance = TOLERANCES.get(min(sizes, default=8), 1e-9)
        self.zero = self.zero.astype(np.result_type(self.zero, np.float64))

    def call(self, x: Array, what: str) -> Array:
        """Return f(x), which must be one finite array."""
        try:
            value = self.f(x.copy())
        except Exception as error:
            msg = f"{self.name} raises {type(error).__name__} on {what} of shape {x.shape} and dtype {x.dtype}: {error}"
            msg += "; give the shape and dtype it is made for"
            raise ProblemError(msg) from error
        result = one_array(value, self.name)
        if not np.isfinite(result).all():
            at = tuple(np.argwhere(~np.isfinite(result))[0].tolist())
            msg = f"{self.name} of {what} is {result[at]} at {at}; identify needs a function that is finite on finite "
            msg += "input: fill the holes inside the function"
            raise ProblemError(msg)
        return result

    def __call__(self, x: Array, what: str = "random numbers") -> Array:
        """Return f(x) - f(0), in double precision."""
        result = self.call(x.astype(self.dtype, copy=False), what)
        if result.shape != self.zero.shape:
            msg = f"{self.name} returns shape {self.zero.shape} for zeros and {result.shape} for {what} of the same "
            msg += f"shape {self.shape}; the shape of a filter's result does not depend on values"
            raise GeometryError(msg)
        return result - self.zero

    def random(self) -> Array:
        """Return an array of the right shape and dtype."""
        x = self.rng.standard_normal(self.shape)
        return (x + 1j * self.rng.standard_normal(self.shape) if self.dtype.kind == "c" else x).astype(self.dtype)

    def differs(self, got: Array, expected: Array, scale: float) -> str:
        """Say where two results differ most, "" if nowhere."""
        error = np.abs(got - expected)
        if not error.size or error.max() <= self.tolerance * scale:
            return ""
        at = tuple(int(i) for i in np.unravel_index(int(error.argmax()), error.shape))
        return f"{got[at]:.6g} instead of {expected[at]:.6g} at {at}, {error[at] / scale:.2g} of the largest output"


def nonlinearity(box: BlackBox) -> str:
    """Return the first violation of f(2a) = 2 f(a) and f(a + b) = f(a) + f(b), "" for a linear (or affine) function.

    Raises ProblemError for a function that ignores its input, or that is random.
    """
    a, b = box.random(), box.random()
    fa, fb = box(a), box(b)
    scale = float(np.abs(fa).max())
    if scale <= box.tolerance * SPECK * max(float(np.abs(box.zero).max()), 1e-300):
        msg = f"{box.name} ignores its input: it returns the same for zeros and for random numbers; "
        raise ProblemError(msg + "check that the function uses its argument")
    if again := box.differs(box(a), fa, scale):
        msg = f"{box.name} is random: two runs on the same input give {again}; fix its seed first"
        raise ProblemError(msg)
    if text := box.differs(box(2 * a), 2 * fa, 2 * scale):
        return f"f(2a) is not 2 f(a): {text}"
    if text := box.differs(box(a + b), fa + fb, scale):
        return f"f(a + b) is not f(a) + f(b): {text}"
    return ""


@dataclass(frozen=True)
class AxisProbe:
    """Output j reads the samples stride*j + first to stride*j + last of an axis; `text` says what breaks that."""

    stride: int
    first: int
    last: int
    size: int
    out: int
    text: str = ""

    @property
    def window(self) -> int:
        """The samples from the first to the last, both counted."""
        return self.last - self.first + 1

    @property
    def low(self) -> int:
        """The samples before the array that output 0 reads; below 0 if it begins inside."""
        return -self.first

    @property
    def high(self) -> int:
        """The samples after the array that the last output reads; below 0 if it ends inside."""
        return self.stride * (self.out - 1) + self.last - self.size + 1

    @property
    def interior(self) -> slice:
        """The outputs that read samples of the array only."""
        start = max(-(self.first // self.stride), 0)
        stop = min((self.size - 1 - self.last) // self.stride + 1, self.out)
        return slice(min(start, self.out), max(stop, min(start, self.out)))


def probe_axis(box: BlackBox, axis: int) -> AxisProbe:
    """Find stride and reach along an axis from inputs that are zero except in one slice in the middle.

    The slice is random, so that no output cancels. The stride is the s for which moving the slice by s samples
    moves the result by one. Raises GeometryError where the reach comes too near to the edges.
    """
    n, out = box.shape[axis], box.zero.shape[axis]
    middle = n // 2 - 1
    content = box.random().take([0], axis)
    answers: dict[int, Array] = {}

    def answer(p: int) -> Array:
        if p not in answers:
            x = np.zeros(box.shape, box.dtype)
            x[(slice(None),) * axis + (slice(p, p + 1),)] = content
            answers[p] = np.moveaxis(box(x, "one slice"), axis, 0)
        return answers[p]

    candidates = sorted(range(1, min(MAX_STRIDE, n // 4) + 1), key=lambda s: (abs(out - n / s), s))
    if not candidates or out > 2 * n:
        msg = f"axis {axis} has {n} samples and {out} outputs; identify needs at least 4 samples along each axis, "
        raise GeometryError(msg + "and a function that does not enlarge: give a larger shape")
    texts = {}
    for s in candidates:
        texts[s] = _moves(box, answer, middle, s)
        if not texts[s]:
            break
    stride = next((s for s in candidates if texts.get(s) == ""), candidates[0])
    return _reach(box, axis, stride, middle, [answer(middle + i) for i in range(stride)], texts[stride])


def _moves(box: BlackBox, answer: Callable[[int], Array], middle: int, s: int) -> str:
    """Say why moving the input by s samples does not move the output by one, "" if it does."""
    here = [answer(middle + i) for i in range(s)]
    scale = max(float(np.abs(y).max()) for y in here)
    if scale == 0:
        return f"no output reads the samples {middle} to {middle + s - 1}"
    for i, y in enumerate(here):
        if text := box.differs(answer(middle + i + s)[1:], y[:-1], scale):
            return f"a slice moved from {middle + i} to {middle + i + s} gives {text}"
    return ""


def _reach(box: BlackBox, axis: int, stride: int, middle: int, answers: list[Array], text: str) -> AxisProbe:
    scale = max(float(np.abs(y).max()) for y in answers)
    others = tuple(range(1, answers[0].ndim))
    reads = [
        middle + i - stride * int(j)
        for i, y in enumerate(answers)
        for j in np.flatnonzero(np.abs(y).max(axis=others) > box.tolerance * SPECK * scale)
    ]
    n, out = box.shape[axis], box.zero.shape[axis]
    if not reads:
        msg = f"{box.name} does not read the middle of axis {axis} ({n} samples, {out} outputs); give a shape whose "
        raise GeometryError(msg + "samples are all used")
    # The window has the sample stride*j in it, and reaches so far that no output is missing, if only with zeros.
    found = AxisProbe(stride, min(0, *reads), max(0, *reads), n, out, text)
    found = replace(found, last=found.last + max(-found.high - stride + 1, 0))
    touched = [(middle + i - read) // stride for i in range(stride) for read in (min(reads), max(reads))]
    inside = found.interior
    if min(touched) + 1 < inside.start or max(touched) >= inside.stop + 1 or max(reads) - min(reads) >= n // 2:
        msg = f"{box.name} reads at least {found.window} samples along axis {axis} of {n}, from the middle up to the "
        msg += f"border; give a shape with at least {2 * found.window + 2 * stride + 2} samples there"
        raise GeometryError(msg + ", or a function whose kernel is finite")
    return found


def taps(box: BlackBox, axes: list[AxisProbe]) -> Array:
    """Return the weights of the samples stride*j + first + t, from impulses at one whole stride of positions."""
    kernel = np.zeros(tuple(a.window for a in axes), box.zero.dtype)
    for offsets in product(*(range(a.stride) for a in axes)):
        at = tuple(a.size // 2 - 1 + i for a, i in zip(axes, offsets, strict=True))
        x = np.zeros(box.shape, box.dtype)
        x[at] = 1
        y = box(x, "an impulse")
        into, outof = zip(*(_positions(a, p) for a, p in zip(axes, at, strict=True)), strict=True)
        kernel[np.ix_(*into)] = y[np.ix_(*outof)]
    kernel[np.abs(kernel) <= box.tolerance * SPECK * np.abs(kernel).max()] = 0
    return kernel


def _positions(axis: AxisProbe, p: int) -> tuple[Array, Array]:
    """Give the taps that meet an impulse at p, and the outputs in which they do."""
    t = np.arange(axis.window)
    j, rest = np.divmod(p - axis.first - t, axis.stride)
    good = (rest == 0) & (j >= 0) & (j < axis.out)
    return t[good], j[good]
