"""No pass reads or writes outside the arrays it is given, by itself and in whole problems, in a child process."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faltung.compiler import kernels

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from guarded_pass import run_pass
from guards import Guards
from separable_cases import outer, problem

pytestmark = pytest.mark.skipif(
    not kernels.available() or sys.platform != "linux", reason="needs compiled kernels and mprotect"
)


def child_nests() -> None:
    """Take the nests of several types over every tail up to two registers."""
    from faltung.compiler import isa as isas
    from faltung.compiler.elements import Element
    from faltung.compiler.pass_nest import PassNest
    from faltung.compiler.sweep import EVEN, GENERAL, ODD

    guards = Guards()
    names = ("f4 f4 f4", "f8 f8 f8", "u1 f4 u1", "i2 i4 i4", "u1 i4 i8", "f4 f8 f8")
    for name in names:
        elements = [Element.of(np.dtype(part)) for part in name.split()]
        short = [None, (3, EVEN), (4, GENERAL), (9, ODD)] if name == "f4 f4 f4" else [None]
        for lanes, known in product((False, True), short):
            nest = PassNest(*elements, lanes, name[3] == "f", known)
            count = isas.host().vector_bytes // elements[1].bytes
            for turn, width in enumerate(range(1, 2 * count + 2)):
                for guards.end in (True, False):
                    for outputs in (1, 7, count, 2 * count + 3):
                        run_pass(nest, guards, width, outputs, turn)
                        guards.check_and_reuse()


def child_problems() -> None:
    """Run whole problems from guarded memory to guarded memory, with guarded scratch and tables."""
    from faltung.algorithms import separable, separable_cost, separable_steps
    from faltung.algorithms.task import Recipe
    from faltung.runtime import workspace

    guards = Guards()

    class Numpy:
        def array(self, values: Any, dtype: Any = None) -> Any:
            made = np.array(values, dtype)
            return guards.array(made.shape, made.dtype, made)

        def ascontiguousarray(self, values: Any, dtype: Any = None) -> Any:
            made = np.ascontiguousarray(values, dtype)
            return guards.array(made.shape, made.dtype, made)

        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

    workspace.borrow = lambda size: (guards.address(-(-size // 64) * 64), None)
    setattr(separable_steps, "np", Numpy())  # noqa: B010
    for width in (1, 5, 15, 16, 17, 31, 33, 48):
        for options in (
            {},
            {"boundary": "zero"},
            {"boundary": "antireflect"},
            {"stride": (2, 3)},
            {"dilation": (3, 2)},
        ):
            for dtype in ("f4", "u1", "f8"):
                kernel = outer(np.arange(1.0, 4), np.arange(2.0, 7))
                task, x = problem((19, width), kernel, dtype, 0, **options)
                recipe = separable.propose(task)
                assert isinstance(recipe, Recipe)
                for guards.end, separable_cost.BLOCK_BYTES in ((True, 1 << 20), (False, 1000)):
                    method = recipe.prepare()
                    source = guards.array(method.in_shape, task.load, x.astype(task.load))
                    out = guards.array((1, *method.out_shape), task.problem.dtypes.output)
                    method.run(source, out, 1)
                    guards.check_and_reuse()


def test_every_pass_stays_inside() -> None:
    run_child("nests")


def test_whole_problems_stay_inside() -> None:
    run_child("problems")


def run_child(name: str) -> None:
    command = [sys.executable, "-X", "faulthandler", __file__, name]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]


if __name__ == "__main__":
    {"nests": child_nests, "problems": child_problems}[sys.argv[1]]()
