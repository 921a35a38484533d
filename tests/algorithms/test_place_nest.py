"""Compiled extrema with indices: equal to those of NumPy, and between guard pages."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from faltung.algorithms.extremum import neutral
from faltung.algorithms.pool_chosen import Chosen
from faltung.algorithms.pool_places import places
from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.compiler.elements import Element
from faltung.compiler.place_nest import PlaceNest
from faltung.problem.geometry import Axis, resolve
from faltung.runtime import gather

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / "runtime")]
DTYPES = ["f4", "f8", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"]

pytestmark = pytest.mark.skipif(not kernels.available(), reason="needs compiled kernels")


def draw(rng, dtype):
    """Give samples, axes and the pooled ones; padding is below every sample."""
    ndim = int(rng.integers(1, 5))
    shape = rng.integers(1, {1: 200, 2: 60, 3: 22, 4: 10}[ndim], ndim).tolist()
    pooled = sorted(rng.choice(ndim, int(rng.integers(1, ndim + 1)), replace=False).tolist())
    window = [int(rng.integers(1, min(4, shape[a]) + 1)) for a in pooled]
    along = resolve(
        [shape[a] for a in pooled], window, padding=[tuple(rng.integers(0, k, 2).tolist()) for k in window],
        stride=rng.integers(1, 4, len(window)).tolist(),
    )  # fmt: skip
    axes = [Axis(n, 1, 1, 1, 0, n) for n in shape]
    for axis, one in zip(pooled, along, strict=True):
        axes[axis] = one
    return rng.integers(1, 9, shape).astype(dtype), axes, pooled


def by_numpy(x, axes, pooled, kind):
    sides = neutral(kind, x.dtype)
    maps = [
        gather.coordinates(*axis.reads(0, axis.out), axis.size, sides if i in pooled else None)
        for i, axis in enumerate(axes)
    ]
    whole = [Axis(len(m.index), a.taps, a.stride, a.dilation, 0, a.out) for m, a in zip(maps, axes, strict=True)]
    values, place = places(x, maps, whole, kind)
    index = np.zeros(values.shape, np.int64)
    for i in reversed(pooled):
        axis = axes[i]
        place, tap = np.divmod(place.astype(np.int64), axis.taps)
        start = (axis.stride * np.arange(axis.out) - axis.low).reshape([-1 if j == i else 1 for j in range(x.ndim)])
        index += (start + axis.dilation * tap) * int(np.prod([axes[j].size for j in pooled if j > i]))
    return values, index


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_indices_are_those_of_numpy(dtype):
    rng = np.random.default_rng(0)
    for turn, kind in itertools.product(range(25), ("max", "min")):
        if (kind, dtype) == ("min", "u8"):
            continue  # which has no neutral value
        x, axes, pooled = draw(rng, np.dtype(dtype))
        if x.dtype.kind == "f" and turn % 2:
            x.flat[rng.integers(0, x.size, 3)] = np.nan
        x = np.flip(x, 0) if turn % 3 == 0 else x.swapaxes(0, -1).copy().swapaxes(0, -1) if turn % 3 == 1 else x
        chosen = Chosen(axes, pooled, neutral(kind, x.dtype), kind, x.dtype)
        for threads in (1, 3):
            values, indices = chosen.run(x, threads)
            want, places_ = by_numpy(x, axes, pooled, kind)
            np.testing.assert_array_equal(values, want)
            np.testing.assert_array_equal(indices, places_)


@pytest.mark.parametrize("isa", isas.ISAS.values(), ids=lambda isa: isa.name)
def test_every_instruction_set_is_compiled_for(isa):
    for op, dtype in itertools.product(("max", "min"), DTYPES):
        assert kernels.compile_object(PlaceNest(op, Element.of(np.dtype(dtype))), isa)


def child() -> None:
    from guards import Guards

    from faltung.algorithms import pool_chosen
    from faltung.runtime import workspace

    guards, rng = Guards(), np.random.default_rng(1)

    class Numpy:
        empty = staticmethod(guards.array)

        def __getattr__(self, name: str) -> object:
            return getattr(np, name)

    workspace.borrow = lambda size: (guards.address(size), None)
    pool_chosen.np = Numpy()  # type: ignore[assignment]
    for turn in range(300):
        guards.end = turn % 2 == 0
        pool_chosen.BLOCK = [1 << 16, 200][turn // 2 % 2]
        x, axes, pooled = draw(rng, np.dtype(DTYPES[turn % len(DTYPES)]))
        print(turn, x.shape, x.dtype, axes, pooled, file=sys.stderr)
        source = guards.array(x.shape, x.dtype, x)
        Chosen(axes, pooled, neutral("max", x.dtype), "max", x.dtype).run(source, 1)
        guards.check_and_reuse()


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
def test_nothing_outside_is_touched() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]


if __name__ == "__main__":
    child()
