"""Whole window sums and extrema between guard pages: source, output and scratch memory lie flush against them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from faltung.compiler import kernels

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / "runtime")]

pytestmark = pytest.mark.skipif(
    not kernels.available() or sys.platform != "linux", reason="needs compiled kernels and mprotect"
)


def child(seed: int) -> None:
    import test_extremum
    import test_window_sum
    from guards import Guards

    import faltung as ft
    from faltung.algorithms import window_tiles
    from faltung.algorithms.extremum import Extremum, neutral
    from faltung.algorithms.window_sum import propose
    from faltung.errors import FaltungError
    from faltung.runtime import workspace

    guards, rng = Guards(), np.random.default_rng(seed)
    workspace.borrow = lambda size: (guards.address(size), None)
    served = 0
    while served < 48:
        guards.end = served % 2 == 0
        window_tiles.TILE_BYTES = [15 << 19, 30_000, 3_000][served % 3]
        try:
            x, bank, options = test_window_sum.draw(rng)
            task = test_window_sum.task(ft.Convolution(bank, flip=False, **options), x.shape, x.dtype)
            y, axes, geometry, _ = test_extremum.draw(rng, np.dtype(test_extremum.DTYPES[served % 8]))
        except FaltungError:
            continue
        if bank[0].size < 2:
            continue
        print(served, x.shape, x.dtype, bank[0].shape, options, y.shape, geometry, file=sys.stderr)
        method = propose(task).prepare()
        source = guards.array(method.in_shape, task.load, x.reshape(method.in_shape))
        method.run(source, guards.array((len(bank), *method.out_shape), task.problem.dtypes.output), 1)
        guards.check_and_reuse()
        problem = test_extremum.describe(y.shape, axes, geometry, (neutral("max", y.dtype),) * len(axes), y.dtype)
        Extremum(problem, "max").run(guards.array(y.shape, y.dtype, y), guards.array(problem.map_shape, y.dtype))
        guards.check_and_reuse()
        served += 1


def test_nothing_outside_is_touched() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]


if __name__ == "__main__":
    child(0)
