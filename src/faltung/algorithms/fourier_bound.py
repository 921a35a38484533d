"""How exact the tiled Fourier method is.

Let N be the points of a tile, n those that hold samples, u the unit roundoff, M the largest |x| in the pair of tiles. A
complex sample is at most c·M with c = √2, or 1 where there is but one tile, so ‖x‖₂ <= c·√n·M. A stage multiplies by
factors of modulus 1 (relative error 2u with fused multiply-add, √5·u without, and u for the factor's own rounding, from
a wider type) and adds, each addition with a relative error u in both parts: two for a radix of 4; three and, on one
path, a sum and a rounded √½ for a radix of 8; two sums, a rounded √¾ and two multiply-adds for one of 3. That makes
η(stage)·u of what passes through (Higham 2002, section 24.1; Brent, Percival and Zimmermann 2007).

- Forward: each stage adds at most η·u·‖x‖₂·√N to the spectrum's 2-norm. An output is a sum of such errors, weighted by
  the kernel's spectrum over N, so by Cauchy and Schwarz it changes by at most η·u·‖x‖₂·‖k‖₂.
- Product: 3u of Σ|Y| <= ‖x‖₂·‖k‖₂, Y the spectrum of the result over N: 2u or √5·u as above, u for the rounding of the
  kernel's spectrum; and 2.5u for each level of that one's own transform where no wider type is used for it.
- Inverse: an output sees, before a stage with m points still to be summed, m values. They are a unitary transform of m
  samples of the circular result over √m, each at most c·M·‖k‖₁; their sum is at most √m·c·M·‖k‖₁, and at most Σ|Y|.

The bound is the sum, with second-order terms in a factor 1 + 1e-3. It needs no luck; `expected` needs it: rms errors of
independent roundings, of which a measured constant (`SPREAD`) times the root of the number of levels remains.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SPREAD = 0.45
# A window is dwarfed if this many expected errors of its tile exceed the tolerance for what it holds itself.
SAFETY = 16.0


def stage_error(radix: int, *, turned: bool, fused: bool) -> float:
    """Give η, in units of u.

    >>> stage_error(4, turned=True, fused=True)
    5.0
    """
    levels = {2: 1.0, 3: 5.0, 4: 2.0, 8: 5.0}[radix] + (1.0 if radix in (3, 8) and not fused else 0.0)
    return levels + (_product(fused) + 1.0 if turned else 0.0)


def _product(fused: bool) -> float:
    return 2.0 if fused else math.sqrt(5)


def stages(axes: Sequence[Sequence[int]], *, bridged: bool, fused: bool) -> list[tuple[int, float]]:
    """List the forward stages as (points that are mixed so far, η); the factors of a bridge belong to its stage."""
    found, mixed = [], 1
    for a, radices in enumerate(axes):
        for i, radix in enumerate(radices):
            mixed *= radix
            bridge = bridged and a == len(axes) - 2 and i == len(radices) - 1
            found.append((mixed, stage_error(radix, turned=i < len(radices) - 1 or bridge, fused=fused)))
    return found


def guaranteed(
    axes: Sequence[Sequence[int]],
    norm1: float,
    norm2: float,
    unit: float,
    *,
    bridged: bool,
    fused: bool,
    wide: bool,
    filled: int,
    alone: bool,
) -> float:
    """Bound |error| of an output as a multiple of M.

    `wide` says how the kernel's spectrum is made, `filled` how many points of a tile hold samples, `alone` that there
    is but one tile.

    >>> how = {"bridged": False, "fused": True, "wide": True, "filled": 64, "alone": True}
    >>> 0 < guaranteed([(8, 8)], 1.0, 0.1, 2.0**-24, **how) < 1e-5
    True
    """
    points = math.prod(math.prod(radices) for radices in axes)
    whole = math.sqrt(min(filled, points)) * norm2
    found = stages(axes, bridged=bridged, fused=fused)
    forward = sum(eta for _, eta in found) * whole
    product = (_product(fused) + 1.0 + (0.0 if wide else 2.5 * math.log2(points))) * whole
    inverse = sum(eta * min(whole, math.sqrt(mixed) * norm1) for mixed, eta in found)
    return (forward + product + inverse) * (1.0 if alone else math.sqrt(2)) * unit * (1 + 1e-3)


def expected(points: int, norm2: float, unit: float) -> float:
    """Give the rms error for independent roundings and inputs of unit rms."""
    return SPREAD * unit * math.sqrt(4 * math.log2(points) + 3) * norm2
