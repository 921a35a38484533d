"""Equivariant maps against emlp 1.0.3: projectors and dimensions must be equal, and the times are told beside.

emlp needs an old jax, so that it has an environment of its own, in which faltung is installed beside it::

    python3.11 -m venv emlp-env && . emlp-env/bin/activate
    pip install --no-deps emlp==1.0.3
    pip install "jax[cpu]==0.4.13" "numpy<2" "scipy<1.12" plum-dispatch==1.7.4 optax==0.1.5 objax==1.7.0
    pip install six parameterized tensorboard tqdm matplotlib scikit-learn pytest h5py
    pip install llvmlite Pillow tifffile rich typer hatchling
    pip install --no-deps .
    python -m benchmarks.emlp_comparison

Generators are emlp's own, so both solve the same problem. Its projector comes in float32. The exit status is 1 if a
dimension or a projector differs.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from faltung.symmetry import EquivariantBasis, Representation, equivariant_basis

TOLERANCE = 1e-4  # emlp computes in float32
Make = Callable[[Any], Any]
VECTOR, MATRIX = "vectors", "matrices"


def ours(group: Any, power: int) -> Representation:
    """Give vectors, or their outer products, of emlp's group."""
    finite = [np.asarray(dense(h), float) for h in group.discrete_generators]
    vector = Representation(finite, [np.asarray(dense(a), float) for a in group.lie_algebra])
    whole = vector
    for _ in range(power - 1):
        whole = whole * vector
    return whole


def dense(operator: Any) -> Any:
    """Write one of emlp's operators out."""
    return operator @ np.eye(operator.shape[-1]) if not isinstance(operator, np.ndarray) else operator


def cases() -> list[tuple[str, Any, int, int]]:
    """Give groups, and the powers of vectors that come in and go out."""
    from emlp import groups as g

    pairs = [(1, 1), (2, 1), (2, 2)]
    named = [(repr(group), group) for group in (g.Z(5), g.D(5), g.S(4), g.SO(2), g.O(2), g.SO(3), g.O(3))]
    named += [(repr(group), group) for group in (g.O13(), g.SO13p(), g.Sp(1))]
    return [(name, group, a, b) for name, group in named for a, b in pairs]


def compare(name: str, group: Any, power_in: int, power_out: int) -> tuple[str, bool]:
    """Give a line of the table, and whether both agree."""
    from emlp.reps import T, V

    reps = {1: V, 2: T(2)}
    maps = (reps[power_in] >> reps[power_out])(group)
    start = time.perf_counter()
    projector = np.asarray(maps.equivariant_projector() @ np.eye(maps.size()))
    theirs = time.perf_counter() - start
    start = time.perf_counter()
    basis = equivariant_basis(ours(group, power_in), ours(group, power_out))
    own = written(basis)
    seconds = time.perf_counter() - start
    error = float(np.abs(projector - own).max())
    dimension = round(float(np.trace(projector)))
    good = error <= TOLERANCE and dimension == basis.dimension
    kinds = {1: VECTOR, 2: MATRIX}
    cells = [name, f"{kinds[power_in]} to {kinds[power_out]}", str(basis.dimension), str(dimension), f"{error:.1e}"]
    return "| " + " | ".join([*cells, f"{theirs / seconds:.1f}"]) + " |", good


def written(basis: EquivariantBasis) -> np.ndarray:
    """Write the projector out."""
    flat = basis.matrices.reshape(basis.dimension, int(np.prod(basis.shape)))
    projector: np.ndarray = flat.T @ flat.conj()
    return projector


def main() -> int:
    """Compare all."""
    warnings.simplefilter("ignore")
    results = [compare(*case) for case in cases()]
    print("| group | maps | dimension | emlp's | largest difference of projectors | emlp's time over ours |")
    print(6 * "|---" + "|", *(line for line, _ in results), sep="\n")
    wrong = sum(not good for _, good in results)
    print(f"\n{len(results)} compared, {wrong} differ")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
