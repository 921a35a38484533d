"""What lies beyond the edges of an array: the rules, their names in other libraries, and where each sample comes from.

The names are numpy.pad's; `antireflect` and `antisymmetric` are its `reflect` and `symmetric` with
reflect_type="odd". A name of another library is accepted with that library's prefix, because the same word means
different things: "reflect" repeats the edge sample in scipy.ndimage and does not in NumPy, OpenCV and torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Complex, Integral, Real
from typing import Any, TypeAlias

import numpy as np

from faltung.errors import BoundaryError

PICTURES = {
    "zero": "0 0 0 | a b c d | 0 0 0",
    "constant": "v v v | a b c d | v v v",
    "edge": "a a a | a b c d | d d d",
    "reflect": "d c b | a b c d | c b a",
    "symmetric": "c b a | a b c d | d c b",
    "wrap": "b c d | a b c d | a b c",
    "antireflect": "2a-d 2a-c 2a-b | a b c d | 2d-c 2d-b 2d-a",
    "antisymmetric": "2a-c 2a-b 2a-a | a b c d | 2d-d 2d-c 2d-b",
}
RULES = tuple(PICTURES)

FOREIGN = {
    "ndimage": {
        "reflect": "symmetric", "grid-mirror": "symmetric", "mirror": "reflect", "nearest": "edge",
        "constant": "zero", "grid-constant": "zero", "wrap": "wrap", "grid-wrap": "wrap",
    },
    "cv2": {
        "reflect": "symmetric", "reflect_101": "reflect", "reflect101": "reflect", "default": "reflect",
        "replicate": "edge", "constant": "zero", "wrap": "wrap",
    },
    "torch": {
        "zeros": "zero", "constant": "zero", "reflect": "reflect", "replicate": "edge", "circular": "wrap",
    },
    "numpy": {
        "constant": "zero", "edge": "edge", "reflect": "reflect", "symmetric": "symmetric", "wrap": "wrap",
    },
    "dask": {"reflect": "symmetric", "periodic": "wrap", "nearest": "edge"},
    "signal": {"fill": "zero", "wrap": "wrap", "symm": "symmetric"},
    "astropy": {"fill": "zero", "wrap": "wrap", "extend": "edge"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule for one side of one axis.

    `name` is one of `RULES`; `value` belongs to "constant" alone and is kept as a Python int, float or complex.
    Raises BoundaryError for an unknown name, a value that is no number, one with another rule, or an integer
    outside int64. Source: numpy.pad.

    >>> str(Rule("constant", 5)), str(Rule("reflect"))
    ('constant:5', 'reflect')
    """

    name: str
    value: complex | float | int = 0

    def __post_init__(self) -> None:
        if self.name not in PICTURES:
            raise BoundaryError(_unknown(self.name))
        object.__setattr__(self, "value", _number(self.value))
        if self.value != 0 and self.name != "constant":
            msg = f"the boundary rule {self.name!r} takes no value, got {self.value!r}; write 'constant:{self.value}'"
            raise BoundaryError(msg)

    def __str__(self) -> str:
        return f"constant:{self.value!r}" if self.name == "constant" else self.name

    @property
    def is_constant(self) -> bool:
        """Whether the rule writes one value and reads no sample."""
        return self.name in ("zero", "constant")

    @property
    def is_odd(self) -> bool:
        """Whether the rule mirrors through the edge sample: 2*edge - x."""
        return self.name in ("antireflect", "antisymmetric")


Sides = tuple[Rule, Rule]
Boundary: TypeAlias = str | Rule | Sequence[Any] | None


def parse(boundary: Boundary, ndim: int, default: str = "symmetric") -> tuple[Sides, ...]:
    """Read a boundary as the user wrote it: one (low, high) pair of rules for each of `ndim` filtered axes.

    `boundary` is None (then `default`), a rule: a name, "constant:5", ("constant", 5) or a `Rule`; or a sequence with
    one entry per axis, each a rule or a (low, high) pair of rules. Names of other libraries carry their prefix:
    "ndimage:mirror", "cv2:BORDER_REFLECT_101", "torch:circular", "ndimage:constant:5".
    Raises BoundaryError for unknown names, wrong lengths and values that are no numbers.
    Source of the rules: numpy.pad; of the foreign names: the documentation of each library.

    >>> [str(side) for side in parse(["ndimage:reflect", ("wrap", ("constant", 5))], 2)[1]]
    ['wrap', 'constant:5']
    >>> parse("ndimage:reflect", 1) == parse(None, 1) == parse("symmetric", 1)
    True
    """
    if boundary is None:
        boundary = default
    if _is_rule(boundary):
        rule = _rule(boundary)
        return ((rule, rule),) * ndim
    if not isinstance(boundary, (tuple, list)):
        raise BoundaryError(_not_a_rule(boundary))
    if len(boundary) != ndim:
        msg = f"boundary={boundary!r} has {len(boundary)} entries for {ndim} filtered axes; give one rule for all, "
        msg += "or one entry per axis, each a rule or a (low, high) pair: boundary=[('edge', 'wrap'), ...]"
        raise BoundaryError(msg)
    return tuple(_sides(entry) for entry in boundary)


def _sides(entry: object) -> Sides:
    if isinstance(entry, (tuple, list)) and len(entry) == 2 and not _is_rule(entry):
        return _rule(entry[0]), _rule(entry[1])
    rule = _rule(entry)
    return rule, rule


def _is_rule(entry: object) -> bool:
    """Tell a rule from a sequence of them: ("constant", 5) is one, ("edge", "wrap") is two."""
    if isinstance(entry, (tuple, list)):
        return len(entry) == 2 and isinstance(entry[0], str) and isinstance(entry[1], (Complex, np.bool_))
    return isinstance(entry, (str, Rule))


def _rule(entry: object) -> Rule:
    if isinstance(entry, Rule):
        return entry
    if isinstance(entry, str):
        return _from_text(entry)
    if isinstance(entry, (tuple, list)) and _is_rule(entry):
        return _from_text(f"{entry[0]}:{_number(entry[1])}")
    raise BoundaryError(_not_a_rule(entry))


def _from_text(text: str) -> Rule:
    """Read [library:]name[:value]."""
    library, _, rest = text.partition(":")
    names = FOREIGN.get(library)
    name, colon, value = (text if names is None else rest).partition(":")
    if names is not None:
        key = name.lower().removeprefix("border_") if library == "cv2" else name
        if key not in names:
            msg = f"unknown boundary {text!r}; {library} has {', '.join(f'{library}:{known}' for known in names)}"
            raise BoundaryError(msg)
        name = "constant" if colon and names[key] == "zero" else names[key]
    if name not in PICTURES:
        raise BoundaryError(_unknown(text))
    if not colon:
        return Rule(name)
    if name != "constant":
        msg = f"boundary {text!r}: {name!r} takes no value; write 'constant:{value}'"
        raise BoundaryError(msg)
    return Rule(name, _parse_number(value, text))


def _parse_number(value: str, text: str) -> complex | float | int:
    for kind in (int, float, complex):
        try:
            number: complex = kind(value)
        except ValueError:
            continue
        return number
    msg = f"boundary {text!r}: {value!r} is no number; write for example 'constant:5'"
    raise BoundaryError(msg)


def _number(value: object) -> complex | float | int:
    if isinstance(value, (Integral, np.bool_)):
        number = int(value)
        if not -(2**63) <= number < 2**63:
            msg = f"the constant {number} of a boundary does not fit int64; give a float, for example {number:.6e}"
            raise BoundaryError(msg)
        return number
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Complex):
        return complex(value)
    msg = f"the value of a constant boundary must be a number, got {value!r}; write for example 'constant:5'"
    raise BoundaryError(msg)


def _not_a_rule(entry: object) -> str:
    text = f"boundary {entry!r} is neither a rule nor a sequence with one entry per axis"
    return f"{text}; write 'constant:{entry}'" if isinstance(entry, Complex) else f"{text}; {_list_rules()}"


def _unknown(text: object) -> str:
    """Say what an unknown name may have meant, and what there is."""
    key = str(text).partition(":")[0].lower().removeprefix("border_")
    found = {f"{library}:{key}": names[key] for library, names in FOREIGN.items() if key in names}
    meant = ", ".join(f"{rule!r} (as {foreign!r})" for foreign, rule in found.items())
    hint = f" without the prefix of its library; did you mean {meant}?" if found else ";"
    return f"unknown boundary {text!r}{hint} {_list_rules()}"


def _list_rules() -> str:
    lines = "\n".join(f"  {name:<15}{picture}" for name, picture in PICTURES.items())
    return f"the rules are\n{lines}\nand names of other libraries with the prefix {', '.join(f'{p}:' for p in FOREIGN)}"


@dataclass(frozen=True, slots=True, eq=False)
class AxisMap:
    """Where the samples of an extended axis come from; all arrays have one entry per coordinate.

    extended value = fill where index is -1, elsewhere sign*x[index] + first*x[0] + last*x[n-1].
    `fill` is None if no coordinate is a constant; `sign`, `first` and `last` are None (meaning 1, 0 and 0) if none is
    reached by an odd rule or n is 1, and all 0 where index is -1.
    """

    index: np.ndarray
    fill: np.ndarray | None
    sign: np.ndarray | None
    first: np.ndarray | None
    last: np.ndarray | None


def axis_map(start: int, stop: int, n: int, sides: Sides) -> AxisMap:
    """Map the coordinates range(start, stop) to the samples of an axis of length n.

    Coordinates below 0 follow the low rule as if it extended both sides, those from n on the high rule; any overhang is
    allowed. `index`, `sign`, `first`, `last` are int64; `fill` is int64, float64 or complex128 as the values need.
    Raises BoundaryError where an empty axis would have to be read.
    Source: numpy.pad, in closed form: the even rules are periodic, the odd ones periodic plus a linear trend.

    >>> axis_map(-2, 4, 3, parse("reflect", 1)[0]).index.tolist()
    [2, 1, 0, 1, 2, 1]
    """
    index = np.arange(start, max(start, stop), dtype=np.int64)
    low, high = (min(max(edge - start, 0), len(index)) for edge in (0, n))
    outside = [(slice(0, low), sides[0]), (slice(high, None), sides[1])]
    outside = [(part, rule) for part, rule in outside if index[part].size]
    fill = _fills(len(index), outside)
    # A single sample has no slope: leaving the terms out keeps Inf and rounding out of a sum that cancels.
    reached = n > 1 and any(rule.is_odd for _, rule in outside)
    odd = np.zeros((3, len(index)), np.int64) if reached else None
    if odd is not None:
        odd[0] = 1
    for part, rule in outside:
        if rule.is_constant:
            index[part] = -1
            if odd is not None:
                odd[0, part] = 0
            continue
        if n == 0:
            msg = f"the boundary rule {str(rule)!r} cannot extend an axis of length 0, which has no sample to read; "
            raise BoundaryError(msg + "use 'zero' or 'constant:<value>'")
        if odd is not None and rule.is_odd:
            odd[:, part] = _odd_factors(index[part], n, rule.name)
        index[part] = _fold(index[part], n, rule.name)
    sign, first, last = (None, None, None) if odd is None else odd
    return AxisMap(index, fill, sign, first, last)


def _fills(length: int, outside: list[tuple[slice, Rule]]) -> np.ndarray | None:
    constants = [(part, rule.value) for part, rule in outside if rule.is_constant]
    if not constants:
        return None
    fill = np.zeros(length, np.result_type(*(np.array(value).dtype for _, value in constants)))
    for part, value in constants:
        fill[part] = value
    return fill


def _fold(at: np.ndarray, n: int, name: str) -> np.ndarray:
    """Bring coordinates into [0, n)."""
    if name == "edge":
        return at.clip(0, n - 1)
    if name == "wrap":
        return at % n
    period, mirror = _mirror(n, name)
    phase = at % period
    return np.where(phase < n, phase, mirror - phase)


def _odd_factors(at: np.ndarray, n: int, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give (sign, first, last): one period adds 2*(x[n-1] - x[0]), and its second half is 2*x[n-1] - x mirrored."""
    period, _ = _mirror(n, name)
    periods, phase = np.divmod(at, period)
    mirrored = phase >= n
    return np.where(mirrored, -1, 1), -2 * periods, 2 * periods + 2 * mirrored


def _mirror(n: int, name: str) -> tuple[int, int]:
    """Give the period of a mirrored axis, and m such that phase p >= n is the image of sample m - p."""
    if name.endswith("symmetric"):
        return 2 * n, 2 * n - 1
    # One sample mirrored about itself has period 1.
    return max(2 * n - 2, 1), 2 * n - 2
