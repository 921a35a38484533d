"""No nest of the Fourier method reads or writes outside its arrays, by itself and in whole problems (in a child)."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from faltung.compiler import kernels

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from fourier_cases import method, task
from guarded_fourier import run_fourier
from guards import Guards

pytestmark = pytest.mark.skipif(
    not kernels.available() or sys.platform != "linux", reason="needs compiled kernels and mprotect"
)


def child_nests() -> None:
    """Take nests of every kind and type."""
    from faltung.compiler.elements import Element
    from faltung.compiler.fourier_nest import AxisNest, LastNest
    from faltung.compiler.load_nest import LoadNest
    from faltung.compiler.store_nest import StoreNest

    guards = Guards()
    nests: list[object] = []
    for name in ("f4", "f8"):
        element = Element.of(np.dtype(name))
        for stages in ((2,), (3,), (4,), (8,), (4, 4), (8, 4, 3), (4, 2, 2)):
            nests += [AxisNest(element, stages, inverse) for inverse in (False, True)]
        nests += [
            LastNest(element, stages, bridged) for stages in ((4, 4), (8, 8), (8, 2, 3)) for bridged in (False, True)
        ]
        nests += [
            LoadNest(Element.of(np.dtype(load)), element, group) for load, group in product(("u1", "i2", name), (1, 2))
        ]
        nests += [StoreNest(element, Element.of(np.dtype(store))) for store in ("u1", "i2", "i8", name)]
    for nest, guards.end in product(nests, (True, False)):
        assert run_fourier(nest, guards) >= 3


def child_problems() -> None:
    """Run whole problems from guarded memory to guarded memory, with guarded scratch."""
    from faltung.runtime import workspace

    guards = Guards()
    workspace.borrow = lambda size: (guards.address(-(-size // 64) * 64), None)
    cases = [((40, width), (5, 7), (32, 32)) for width in (1, 16, 17, 60)]
    cases += [((300 + width,), (20,), (16, 16)) for width in (0, 11, 30)] + [((9, 20, 37), (3, 4, 5), (6, 16, 16))]
    options = ({}, {"boundary": "zero"}, {"boundary": "antireflect"}, {"stride": 2}, {"mode": "full"})
    for (shape, size, tile), option, dtype in product(cases, options, ("f4", "u1", "f8")):
        rng = np.random.default_rng(0)
        asked = task(rng.standard_normal(size), shape, dtype, **option)
        prepared = method(asked, tile)
        results = set()
        for guards.end in (True, False):
            source = guards.array(shape, asked.load, rng.integers(0, 1, shape) + np.arange(shape[-1]) % 50)
            out = guards.array((1, *prepared.out_shape), asked.problem.dtypes.output)
            prepared.run(source, out, 1)
            results.add(out.tobytes())
            guards.check_and_reuse()
        assert len(results) == 1


@pytest.mark.parametrize("name", ["nests", "problems"])
def test_nothing_outside_is_touched(name: str) -> None:
    done = subprocess.run([sys.executable, "-X", "faulthandler", __file__, name], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]


if __name__ == "__main__":
    {"nests": child_nests, "problems": child_problems}[sys.argv[1]]()
