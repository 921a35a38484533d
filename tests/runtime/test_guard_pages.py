"""No kernel reads or writes outside the arrays it is given.

In a child process every array lies flush against memory that may not be touched, first at its end, then at its start:
inputs, outputs, scratch, packed weights and tables. One run takes every nest of the registry by itself, after a
generator of problems (and this process's own tests) filled it; another takes whole problems through the planner.
"""

from __future__ import annotations

import ctypes
import json
import pickle
import subprocess
import sys
from itertools import chain, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from guarded_nests import run_nest
from guards import Guards

import faltung as ft
from faltung.compiler import kernels
from faltung.compiler.copy_nest import CopyNest
from faltung.compiler.layer_nest import LayerNest
from faltung.compiler.tap_nest import TapNest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    not kernels.available() or sys.platform != "linux", reason="needs compiled kernels and mprotect"
)

Array = np.ndarray[Any, Any]


FULL = [("f4", "f4", None), ("f8", "f8", None), ("u1", "f4", "input")]
LAYERS = [("f4", "f4", 16), ("f4", "f4", 40), ("f8", "f8", 16), ("u1", "f4", 20), ("i2", "i2", 16), ("i8", "i8", 8)]
SPARSE = [
    ("u1", "f4", None), ("i1", "i1", None), ("u2", "i2", "input"), ("i2", "f4", "input"), ("i4", "f4", None),
    ("u4", "i4", None), ("i8", "i4", "u1"), ("u8", "f8", "f4"), ("f4", "f4", "i4"), ("f8", "f4", "i8"), ("i2", "i2", None),
    ("c8", "f4", None), ("u8", "i2", None), ("i4", "f8", "u4"), ("u1", "i1", "i8"),
]  # fmt: skip


def families(width: int) -> list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]]:
    """Give (shape, kernel, options): rows that share loads, that do not, strided, folded, interleaved, carried lanes."""
    return [
        ((9, width), (3, 3), {}), ((6, width), (5, 4), {"boundary": "wrap"}), ((3, width), (1, 2), {"mode": "full"}),
        ((9, width), (3, 2), {"dilation": 2}), ((11, width), (2, 3), {"stride": (2, 1)}),
        ((6, width), (2, 3), {"stride": 2}), ((5, width), (2, 4), {"stride": (1, 3), "dilation": (1, 2)}),
        ((width,), (5,), {}), ((width,), (41,), {"boundary": "edge"}), ((3, width), (1, 3), {"axes": (0, 1)}),
        ((6, width, 3), (3, 3), {"axes": (0, 1)}), ((4, 3, width + 2), (2, 2, 3), {"mode": "valid"}),
        ((5, width, 18), (3,), {"axes": 0}),
        # Without borders, so that even the narrowest interior is read in place.
        ((9, width + 2), (3, 3), {"mode": "valid"}), ((6, width + 3), (5, 4), {"mode": "valid"}),
        ((9, width + 4), (3, 3), {"mode": "valid", "dilation": 2}), ((width + 40,), (41,), {"mode": "valid"}),
        ((6, width + 2, 3), (3, 3), {"mode": "valid", "axes": (0, 1)}),
    ]  # fmt: skip


def problems() -> Iterator[tuple[Any, ...]]:
    """Give every family with every tail for some types, with the telling tails for all others, and long lines."""
    lanes = 64 // 4
    telling = (1, 2, lanes // 2, lanes - 1, lanes, lanes + 1, 2 * lanes + 1)
    for types, widths in chain(((t, range(1, 2 * lanes + 2)) for t in FULL), ((t, telling) for t in SPARSE)):
        for width in widths:
            yield from ((types, *family) for family in families(width))
    for types in FULL:
        for width in range(200, 240, 3):
            yield from ((types, *family) for family in families(width)[:4])
    for types in (*FULL, *SPARSE):
        for options in (
            ((7001,), (101,), {}),
            ((7001,), (4,), {"dilation": 3}),
            ((2, 3000), (1, 70), {"boundary": "wrap"}),
        ):
            yield (types, *options)


def bind(guards: Guards) -> None:
    """Let the runtime take scratch, packed weights and intermediate arrays from guarded memory."""
    from faltung.algorithms import direct, tap_loops
    from faltung.plan import plan
    from faltung.runtime import workspace

    class Numpy:
        empty = staticmethod(guards.array)

        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

    pack = tap_loops.pack

    def packed(kernel: Array, form: Any) -> Array:
        weights = pack(kernel, form)
        return guards.array(weights.shape, weights.dtype, weights)

    workspace.borrow = lambda size: (guards.address(size), None)
    tap_loops.pack = packed
    for module in (direct, plan):
        setattr(module, "np", Numpy())  # noqa: B010


def solve(guards: Guards, problem: tuple[Any, ...], x: Array, kernel: Array, threads: int) -> bytes:
    """Run one problem from guarded memory to guarded memory, in the quick way too where there is one."""
    (_, _, output), _, _, options = problem
    convolution = ft.Convolution(kernel, **options)
    dtype = x.dtype if output == "input" else output
    plan = convolution.plan(x.shape, x.dtype, dtype, algorithm="direct")
    source = guards.array(x.shape, x.dtype, x)
    out = guards.array(plan.problem.output_shape, plan.problem.dtypes.output)
    convolution(source, dtype=dtype, out=out, threads=threads, algorithm="direct")
    if plan._shortcut is not None:
        again = guards.array(out.shape, out.dtype)
        plan._shortcut(source, again)
        assert again.tobytes() == out.tobytes()
    result = out.tobytes()
    guards.check_and_reuse()
    return result


def child_problems() -> dict[str, Any]:
    from faltung.algorithms import steps

    guards, seen = Guards(), 0
    bind(guards)
    rng = np.random.default_rng(0)
    small = steps.SMALL_BYTES
    for problem in problems():
        (dtype, kernel_dtype, _), shape, kernel_shape, _ = problem
        print(problem, file=sys.stderr)
        x, kernel = rng.integers(0, 9, shape).astype(dtype), rng.integers(0, 5, kernel_shape).astype(kernel_dtype)
        results = set()
        # Gathered whole; and, as if it were large, in place with gathered borders.
        for guards.end, steps.SMALL_BYTES in ((True, small), (True, 0), (False, 0)):
            results.add(solve(guards, problem, x, kernel, threads=1))
        assert len(results) == 1
        seen += 1
    child_streams(guards)
    return {"problems": seen}


def child_streams(guards: Guards) -> None:
    """Outputs stored past the caches: as small ones by a lower threshold, and a real one of more than 8 MiB."""
    from faltung.algorithms import steps

    real = steps.STREAM_BYTES
    for shape, threshold, dtype in (((20, 256), 0, "f4"), ((9, 320), 0, "f8"), ((1100, 2048), real, "f4")):
        steps.STREAM_BYTES, steps.SMALL_BYTES = threshold, 0
        for guards.end in (True, False):
            x, kernel = np.ones(shape, dtype), np.ones((3, 3), dtype)
            problem: tuple[Any, ...] = ((dtype, dtype, None), shape, (3, 3), {})
            assert set(np.frombuffer(solve(guards, problem, x, kernel, threads=2), dtype)) == {9.0}
    assert any(isinstance(nest, TapNest) and nest.stream for nest in kernels.compiled())


def child_registry() -> dict[str, Any]:
    from faltung.algorithms import steps

    given = pickle.loads(sys.stdin.buffer.read())
    for problem in problems():
        (dtype, kernel_dtype, output), shape, kernel_shape, options = problem
        for steps.SMALL_BYTES in (0, 96 << 10):
            ft.Convolution(np.ones(kernel_shape, kernel_dtype), **options)(
                np.zeros(shape, dtype), dtype=dtype if output == "input" else output, threads=1, algorithm="direct"
            )
    ft.correlate(np.zeros((1100, 2048), np.float32), np.ones((3, 3)), algorithm="direct")
    for dtype, kernel_dtype, outputs in LAYERS:
        layer = ft.Convolution(np.ones((outputs, 2, 3, 3), kernel_dtype), channels=True)
        layer(np.zeros((2, 7, 9), dtype), algorithm="layer", threads=1)
    for activation, outputs in product((None, "relu", "leaky_relu", "relu6", "silu", "gelu"), (8, 16, 37)):
        weight = np.ones((outputs, 2, 3, 3), np.float32)
        ft.nn.conv(np.zeros((2, 7, 9), np.float32), weight, np.ones(outputs), activation=activation, threads=1)
    for nest in given:
        kernels.get(nest)
    guards, runs = Guards(), 0
    for nest in kernels.compiled():
        print(nest, file=sys.stderr)
        for guards.end in (True, False):
            runs += run_nest(nest, guards)
    taps = [nest for nest in kernels.compiled() if isinstance(nest, TapNest)]
    return {
        "runs": runs, "nests": len(kernels.compiled()), "loads": sorted({n.load.name for n in taps}),
        "accumulators": sorted({n.accumulate.name for n in taps}), "stores": sorted({n.store.name for n in taps}),
        "ragged": sum(n.ragged for n in taps), "stream": sum(n.stream for n in taps),
        "unrolled": sum(n.tap_rows is not None for n in taps), "one row": sum(n.rows == 1 for n in taps),
        "layers": sum(isinstance(n, LayerNest) for n in kernels.compiled()),
        "copies": sorted(n.size for n in kernels.compiled() if isinstance(n, CopyNest)),
    }  # fmt: skip


def child_fault() -> dict[str, Any]:
    """Read one byte beyond an array: if this survives, the guards do not guard."""
    ctypes.string_at(Guards().address(100) + 100, 1)
    return {}


def run_child(name: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__, name],
        input=given,
        capture_output=True,
        timeout=600,
        check=False,
    )


def summary(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    print(done.stdout.decode())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_guards_do_guard() -> None:
    assert run_child("fault").returncode == -11


def test_every_kernel_of_the_registry_stays_inside() -> None:
    found = summary(run_child("registry", pickle.dumps(kernels.compiled())))
    assert found["loads"] == sorted(["u8", "i8", "u16", "i16", "i32", "u32", "i64", "u64", "f32", "f64"])
    assert found["accumulators"] == ["f32", "f64", "i32", "i64"]
    assert {"u8", "u16", "i16", "i32", "u32", "i64", "f32", "f64"} <= set(found["stores"])
    assert found["copies"] == [1, 2, 4, 8]
    assert min(found[cell] for cell in ("ragged", "stream", "unrolled", "one row", "layers")) > 0
    assert found["nests"] >= 100
    assert found["runs"] >= 2 * 3 * found["nests"]


def test_whole_problems_stay_inside() -> None:
    assert summary(run_child("problems"))["problems"] >= 2000


if __name__ == "__main__":
    children = {"registry": child_registry, "problems": child_problems, "fault": child_fault}
    print(json.dumps(children[sys.argv[1]]()))
