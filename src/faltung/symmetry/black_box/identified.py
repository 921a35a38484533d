"""What is known of a black box: the convolution it is, or why it is none; printed, as JSON, and as a `Convolution`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from faltung.errors import ProblemError
from faltung.problem.boundary import PICTURES
from faltung.symmetry.black_box.rules import UNREAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.convolution import Convolution
    from faltung.symmetry.elements import Array

SHOWN = 64  # taps that are printed


@dataclass(frozen=True, eq=False)
class Identification:
    """What `identify` found: ``f(x)[j] = offset + Σ kernel[t] · x[stride·j + dilation·t - anchor]``, and the edges.

    `kernel` is written as it is correlated, and None if f is not linear, or not shift-equivariant; `difference` then
    names the first violation. `boundary` has a pair of rules for each axis: "valid" where no output reads beyond that
    edge, "unknown" where no rule explains the outputs. `others` has the rules that explain them as well. `flip` tells
    whether the kernel that the caller gave was turned round: None if it is symmetric, or none was given, or neither.
    `dtypes` has the result's dtype, rounding and overflow for each dtype of the input. `residual` is the largest
    difference between f and this description, over the largest output.
    """

    name: str
    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    kernel: Array | None = None
    flip: bool | None = None
    anchor: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    boundary: tuple[tuple[str, str], ...] = ()
    others: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    offset: float = 0.0
    dtypes: dict[str, str] | None = None
    residual: float | None = None
    difference: str = ""

    @property
    def is_convolution(self) -> bool:
        """Whether f is a convolution, explained everywhere, up to a constant `offset`."""
        return not self.difference

    def to_convolution(self) -> Convolution:
        """Give the same filter as a `Convolution`, without the offset. ProblemError where f is not explained."""
        from faltung.convolution import Convolution

        if self.kernel is None or self.difference:
            msg = f"{self.name} is not a convolution: {self.difference}"
            raise ProblemError(msg)
        rules = [tuple("zero" if name == UNREAD else name for name in sides) for sides in self.boundary]
        pads = [(low, max(high, 0)) for low, high in self.padding]
        # Correlation conjugates its kernel, and these are the weights as they multiply.
        return Convolution(
            self.kernel.conj(), flip=False, padding=pads, boundary=rules, stride=self.stride, dilation=self.dilation
        )

    def to_json(self) -> str:
        """Give all of it as JSON; complex weights as pairs."""
        found = asdict(replace(self, kernel=None))
        if self.kernel is not None:
            k = self.kernel
            found["kernel"] = (np.stack([k.real, k.imag], -1) if k.dtype.kind == "c" else k).tolist()
        return json.dumps({**found, "is_convolution": self.is_convolution}, indent=2)

    def __str__(self) -> str:
        head = f"{self.name}: {_by(self.shape)} -> {_by(self.output_shape)}, "
        if self.kernel is None:
            return f"{head}no convolution\n{self.difference}"
        lines = [head + ("a convolution" if self.is_convolution else "a convolution in its interior")]
        turned = "" if self.flip is None else f", the one given, {'turned round' if self.flip else 'not turned'}"
        lines.append(f"kernel    {_by(self.kernel.shape)}{turned}")
        if self.kernel.size <= SHOWN:
            lines.append(np.array2string(self.kernel, precision=6, suppress_small=True))
        lines += [f"{name:9} {_each(v)}" for name, v in (("anchor", self.anchor), ("stride", self.stride))]
        if set(self.dilation) != {1}:
            lines.append(f"dilation  {_each(self.dilation)}")
        for i, (rules, others) in enumerate(zip(self.boundary, self.others, strict=True)):
            lines += _edges(i, rules, others)
        lines += [f"offset    {self.offset:.6g}"] if self.offset else []
        lines += _dtypes(self.dtypes or {})
        lines.append(self.difference or f"agrees to {self.residual:.1g} of the largest output")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Identification of {self}".partition("\n")[0] + ">"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _each(values: Sequence[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else str(tuple(values))


def _edges(axis: int, rules: tuple[str, str], others: tuple[tuple[str, ...], tuple[str, ...]]) -> list[str]:
    sides = (
        [("both sides", rules[0], others[0])]
        if rules[0] == rules[1]
        else list(zip(("low", "high"), rules, others, strict=True))
    )
    lines = []
    for side, rule, more in sides:
        picture = PICTURES.get(rule.partition(":")[0], "no output reads beyond" if rule == UNREAD else "")
        also = f" (or {', '.join(more)})" if more else ""
        lines.append(f"axis {axis}    {side}: {rule}{also}   {picture}".rstrip())
    return lines


def _dtypes(rules: dict[str, str]) -> list[str]:
    """Say which dtypes stay as they are, which are refused, and what becomes of the others."""
    kept = [name for name, rule in rules.items() if rule == name]
    refused = [name for name, rule in rules.items() if rule.startswith("refused")]
    lines = [f"dtypes    {name} -> {rule}" for name, rule in rules.items() if name not in kept + refused]
    lines += [f"dtypes    {' '.join(kept)} kept"] * bool(kept)
    return lines + [f"dtypes    {' '.join(refused)} refused"] * bool(refused)
