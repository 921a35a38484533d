"""What kind of matrix a convolution is: Toeplitz, circulant, block diagonal, level by level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.analysis.taps import taps_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.analysis.taps import Taps
    from faltung.convolution import Convolution
    from faltung.problem.boundary import Sides
    from faltung.problem.geometry import Axis


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a matrix: the factor (rows, columns) that stands for one axis, and what is special about it.

    `kind` is "identity" (carried along), "channels" (dense, or block diagonal by groups), "diagonal" (one tap, in
    place), "circulant" (entry (i, j) depends on (j - i) mod n), "Toeplitz" (on j - i), "strided circulant" and "strided
    Toeplitz" (on j - stride·i), or "folded Toeplitz": Toeplitz but for the rows whose windows reach beyond the ends.
    """

    name: str
    kind: str
    rows: int
    columns: int
    remark: str = ""

    def __str__(self) -> str:
        remark = f", {self.remark}" if self.remark else ""
        return f"{self.name}: {self.kind} {self.rows} x {self.columns}{remark}"


@dataclass(frozen=True, slots=True)
class Structure:
    """The levels of the matrix, outermost first: blocks within blocks, one level per axis of the array.

    Where the kernel is no product of one per axis the levels are no Kronecker factors, but each is still what it says:
    a matrix whose blocks are arranged that way.
    """

    levels: tuple[Level, ...]
    rows: int
    columns: int

    @property
    def is_circulant(self) -> bool:
        """Whether the Fourier transform makes every level diagonal: the whole torus, stride 1."""
        return all(level.kind in ("identity", "channels", "diagonal", "circulant") for level in self.levels)

    @property
    def is_toeplitz(self) -> bool:
        """Whether every level is constant along its diagonals (circulant levels among them)."""
        return all("folded" not in level.kind and "strided" not in level.kind for level in self.levels)

    def __repr__(self) -> str:
        lines = (f"  {'  ' * depth}{level}" for depth, level in enumerate(self.levels))
        return "\n".join([f"matrix {self.rows} x {self.columns}", *lines])


def structure(c: Convolution, shape: int | Sequence[int]) -> Structure:
    """Say of every level of `matrix(c, shape)` whether it is Toeplitz, circulant, block diagonal, and where it is not.

    Raises what `matrix` raises. Source: Gray, "Toeplitz and Circulant Matrices" (2006).

    >>> from faltung import Convolution
    >>> structure(Convolution([[1, 2, 1]], boundary="wrap", axes=(0, 2)), (4, 3, 8))
    matrix 96 x 96
      axis 0: diagonal 4 x 4
        axis 1: identity 3 x 3, carried along: block diagonal
          axis 2: circulant 8 x 8, band of 3
    """
    return structure_of(taps_of(c, shape))


def structure_of(taps: Taps) -> Structure:
    """Describe taps that are already spelled out; see `structure`."""
    first = len(taps.shape) - len(taps.axes)
    levels = [
        Level(f"axis {i}", "identity", n, n, "batch: block diagonal")
        for i, n in enumerate(taps.shape[: max(first - 1, 0)])
    ]
    if first:
        blocks = "dense blocks" if taps.groups == 1 else f"block diagonal, {taps.groups} groups"
        levels.append(Level(f"axis {first - 1}", "channels", taps.outputs, taps.inputs, blocks))
    elif len(taps.output_shape) > len(taps.shape):
        levels.append(Level("bank", "channels", taps.outputs, 1, "stacked feature maps"))
    for i, (axis, sides) in enumerate(zip(taps.axes, taps.sides, strict=True), first):
        levels.append(_level(f"axis {i}", axis, sides))
    return Structure(tuple(levels), taps.rows, taps.columns)


def _level(name: str, axis: Axis, sides: Sides | None) -> Level:
    if sides is None:
        return Level(name, "identity", axis.out, axis.size, "carried along: block diagonal")
    if axis.span == 1 and axis.low == 0 and axis.stride == 1 and axis.out == axis.size:
        return Level(name, "diagonal", axis.out, axis.size)
    band = f"band of {axis.taps}" + (f" in {axis.span}" if axis.dilation > 1 else "")
    strided = "" if axis.stride == 1 else "strided "
    if strided:
        band += f", {axis.stride} columns a row"
    start, stop = axis.reads(0, axis.out)
    reaches = (start < 0, stop > axis.size) if axis.out else (False, False)
    met = {"zero" if rule.is_constant else rule.name for rule, out in zip(sides, reaches, strict=True) if out}
    if met <= {"zero"}:
        return Level(name, f"{strided}Toeplitz", axis.out, axis.size, band)
    if met == {"wrap"}:
        kind, period = ("circulant", "") if axis.out * axis.stride == axis.size else ("Toeplitz", ", periodic")
        return Level(name, strided + kind, axis.out, axis.size, band + period)
    lo, hi = axis.interior
    folded = f"folded by {' and '.join(sorted(met - {'zero'}))} in {axis.out - (hi - lo)} rows"
    return Level(name, f"{strided}folded Toeplitz", axis.out, axis.size, f"{band}, {folded}")
