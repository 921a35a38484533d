"""The gradient of layers by their weights, against its definition: a loop over the taps of the extended input."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung as ft
from faltung.algorithms import weight_gradient, weight_gradient_parts
from faltung.algorithms.weight_gradient import WeightGradient
from faltung.compiler import kernels
from faltung.errors import DtypeError, GeometryError

PADS = {"zero": {"mode": "constant"}, "constant:2": {"mode": "constant", "constant_values": 2}, "edge": {"mode": "edge"},
        "reflect": {"mode": "reflect"}, "symmetric": {"mode": "symmetric"}, "wrap": {"mode": "wrap"},
        "antireflect": {"mode": "reflect", "reflect_type": "odd"}}  # fmt: skip
METHODS = [False] + [True] * kernels.available()


def problem_of(shape, dtype, outputs, window, groups=1, **options):
    """Describe a layer for an input of this shape, as the library does."""
    channels = shape[-len(window) - 1]
    kernel = np.ones((outputs, channels // groups, *window), dtype if np.dtype(dtype).kind == "i" else np.float32)
    layer = ft.Convolution(kernel, flip=False, channels=True, groups=groups, **options)
    return layer._problem(shape, np.dtype(dtype), None)[0]


def written_out(problem, x, g, boundary):
    """dW[o, c, t] = Σ_n Σ_p g[n, o, p] · E(x)[n, c, stride·p + dilation·t - low], with numpy.pad's E(x)."""
    rank, groups = len(problem.axes), problem.channels.groups
    axes = problem.geometry
    need = [axis.reads(0, axis.out) for axis in axes]
    pads = [(max(-a, 0), max(b - axis.size, 0)) for (a, b), axis in zip(need, axes, strict=True)]
    x = x.reshape(-1, *x.shape[x.ndim - rank - 1 :])
    g = g.reshape(len(x), *g.shape[g.ndim - rank - 1 :])
    extended = np.pad(x, [(0, 0), (0, 0), *pads], **PADS[boundary])
    per, size = g.shape[1] // groups, x.shape[1] // groups
    result = np.zeros((g.shape[1], size, *problem.kernel_shape), np.result_type(x, g))
    for tap in itertools.product(*map(range, problem.kernel_shape)):
        at = [
            slice(low + start + t * a.dilation, low + start + t * a.dilation + (a.out - 1) * a.stride + 1, a.stride)
            for t, a, (start, _), (low, _) in zip(tap, axes, need, pads, strict=True)
        ]
        seen = extended[(slice(None), slice(None), *at)]
        for o, c in itertools.product(range(len(result)), range(size)):
            result[(o, c, *tap)] = (g[:, o] * seen[:, o // per * size + c]).sum()
    return result


@pytest.fixture(params=METHODS, ids=lambda on: "compiled" if on else "numpy")
def compiled(request, monkeypatch):
    """Run with and without the compiler."""
    monkeypatch.setattr(weight_gradient.compiled, "available", lambda: request.param)
    return request.param


def drawn(data):
    """Draw a layer: (problem, boundary, seed)."""
    rank = data.draw(st.integers(1, 4))
    boundary = data.draw(st.sampled_from(sorted(PADS)))
    least = 2 if "reflect" in boundary else 1
    sizes = [data.draw(st.integers(least, (40, 20, 6, 4)[rank - 1])) for _ in range(rank)]
    sizes[-1] = data.draw(st.integers(least, (150, 40, 20, 9)[rank - 1]))
    window = tuple(data.draw(st.integers(1, (17, 7, 3, 2)[rank - 1])) for _ in range(rank))
    groups, size, per = (
        data.draw(st.sampled_from(c)) for c in ([1, 1, 2, 3, 9], [1, 1, 2, 3, 5], [1, 2, 3, 4, 9, 17, 40])
    )
    dilation = tuple(data.draw(st.integers(1, 2)) for _ in range(rank))
    padding = []
    for n, k, d in zip(sizes, window, dilation, strict=True):
        low, high = data.draw(st.integers(0, k * d)), data.draw(st.integers(0, k * d))
        padding.append((low, high + max(0, d * (k - 1) + 1 - n - low - high)))
    batch = data.draw(st.sampled_from([(), (1,), (3,), (2, 2)]))
    dtype = data.draw(st.sampled_from(["f4", "f4", "f8", "i2", "i8"]))
    options = {"stride": tuple(data.draw(st.integers(1, 3)) for _ in range(rank)), "dilation": dilation}
    problem = problem_of(
        (*batch, groups * size, *sizes), dtype, groups * per, window, groups, padding=padding, boundary=boundary, **options
    )  # fmt: skip
    return problem, boundary, data.draw(st.integers(0, 99))


def filled(problem, seed, whole):
    rng = np.random.default_rng(seed)
    arrays = []
    for shape in (problem.shape, problem.map_shape):
        values = rng.integers(-9, 9, shape) if whole else rng.standard_normal(shape)
        arrays.append(values.astype(problem.dtypes.input))
    return arrays


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_layer_equals_the_definition(data) -> None:
    problem, boundary, seed = drawn(data)
    x, g = filled(problem, seed, whole=True)
    want = written_out(problem, x.astype("f8"), g.astype("f8"), boundary)
    for on in METHODS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(weight_gradient.compiled, "available", lambda on=on: on)
            got = WeightGradient(problem).run(x, g, data.draw(st.integers(1, 3)))
        assert got.dtype == problem.dtypes.accumulate
        assert got.flags.c_contiguous
        # Small whole numbers: every sum is exact, in any precision.
        np.testing.assert_array_equal(got, want)


# (shape, outputs, window, groups, options): channels as lanes in several tiles, groups, few pixels, stride; pixels as
# lanes with shared rows and without, narrow rows, one axis, four axes.
CASES = [
    ((2, 5, 20, 23), 40, (3, 3), 1, {"padding": 1}), ((8, 9, 9), 12, (3, 2), 1, {"mode": "valid"}),
    ((3, 16, 7, 7), 32, (3, 3), 4, {"padding": 1}), ((2, 3, 31, 30), 24, (5, 5), 1, {"padding": 2, "stride": 2}),
    ((2, 9, 40, 50), 9, (3, 3), 9, {"padding": 1}), ((3, 4, 14, 14), 4, (7, 7), 4, {"padding": 3}),
    ((1, 130, 140), 1, (15, 15), 1, {"mode": "valid"}), ((2, 2, 30, 33), 2, (3, 3), 2, {"padding": 1, "stride": 2}),
    ((4, 3, 5, 3), 3, (3, 3), 3, {"padding": 1}), ((2, 1, 9000), 2, (9,), 1, {"padding": 4, "dilation": 2}),
    ((2, 2, 6, 5, 6, 7), 2, (3, 3, 2, 3), 1, {"mode": "same"}), ((70, 3, 8, 8), 3, (3, 3), 3, {"padding": 1}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}x{case[2]}")
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_error_stays_within_its_bound(case, dtype, compiled) -> None:
    shape, outputs, window, groups, options = case
    problem = problem_of(shape, dtype, outputs, window, groups, boundary="zero", **options)
    gradient, worst = WeightGradient(problem), 0.0
    for sign in (1, -1):
        # Products of one sign round the most; those of both cancel.
        x, g = (np.maximum(a, sign * a) for a in filled(problem, 1, whole=False))
        got, wide = gradient.run(x, g), [a.astype(np.longdouble) for a in (x, g)]
        want, size = (written_out(problem, *arrays, "zero") for arrays in (wide, [abs(a) for a in wide]))
        worst = max(worst, float((abs(got - want) / (gradient.error * size)).max()))
    assert worst <= 1
    # A bound that is not absurdly loose; matrix products of NumPy's round less than any order may.
    assert not compiled or worst > 0.002


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}x{case[2]}")
@pytest.mark.parametrize("boundary", ["zero", "reflect"])
def test_bits_depend_neither_on_threads_nor_on_the_layout(case, boundary, compiled, monkeypatch) -> None:
    monkeypatch.setattr(weight_gradient_parts, "MACS_PER_THREAD", 1)
    shape, outputs, window, groups, options = case
    problem = problem_of(shape, "f4", outputs, window, groups, boundary=boundary, **options)
    x, g = filled(problem, 2, whole=False)
    gradient = WeightGradient(problem)
    want = gradient.run(x, g, 1).tobytes()
    for threads in (1, 2, 3, 8):
        assert gradient.run(x, g, threads).tobytes() == want
    for lay_out in (np.asfortranarray, _channels_last, _within, _reversed):
        assert gradient.run(lay_out(x), lay_out(g), 2).tobytes() == want
    assert WeightGradient(problem).run(x, g, 5).tobytes() == want


def _channels_last(a):
    return np.ascontiguousarray(np.moveaxis(a, 0, -1)).transpose(-1, *range(a.ndim - 1))


def _within(a):
    wide = np.full(tuple(n + 3 for n in a.shape), np.nan, a.dtype)
    part = wide[tuple(slice(1, 1 + n) for n in a.shape)]
    part[...] = a
    return part


def _reversed(a):
    return np.ascontiguousarray(a[..., ::-1])[..., ::-1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}x{case[2]}")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_inf_reach_the_taps_that_multiply_them(case, value, compiled) -> None:
    shape, outputs, window, groups, options = case
    problem = problem_of(shape, "f4", outputs, window, groups, boundary="zero", **options)
    rng = np.random.default_rng(3)
    for which in (0, 1):
        arrays = filled(problem, 4, whole=True)
        # At the very ends, which fewer taps meet, and beside them.
        for at in (0, -1, rng.integers(arrays[which].size)):
            changed = [a.copy() for a in arrays]
            changed[which].flat[at] = value
            got = WeightGradient(problem).run(*changed)
            with np.errstate(invalid="ignore"):
                want = written_out(problem, *changed, "zero")
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "layer",
    [((4, 6, 12, 13), 18, (3, 3), 3, {}), ((2, 6, 12, 33), 6, (5, 3), 6, {}), ((2, 6, 40), 8, (5,), 2, {}),
     ((2, 4, 5, 6, 9), 4, (3, 2, 3), 1, {"dilation": 2}), ((2, 3, 33, 31), 8, (7, 7), 1, {"stride": 2})],
)  # fmt: skip
def test_it_equals_torch(layer, compiled) -> None:
    torch = pytest.importorskip("torch")
    shape, outputs, window, groups, options = layer
    problem = problem_of(shape, "f8", outputs, window, groups, boundary="zero", padding=2, **options)
    x, g = filled(problem, 5, whole=False)
    weight = torch.zeros((outputs, shape[1] // groups, *window), dtype=torch.float64, requires_grad=True)
    conv = getattr(torch.nn.functional, f"conv{len(window)}d")
    conv(torch.tensor(x), weight, padding=2, groups=groups, **options).backward(torch.tensor(g))
    np.testing.assert_allclose(WeightGradient(problem).run(x, g), weight.grad.numpy(), atol=1e-10)


def test_halves_are_summed_in_single_precision(compiled) -> None:
    problem = problem_of((2, 3, 9, 11), "f2", 20, (3, 3), padding=1, boundary="edge")
    x, g = filled(problem, 6, whole=False)
    got = WeightGradient(problem).run(x, g)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, WeightGradient(problem).run(x.astype("f4"), g.astype("f4")))


@pytest.mark.parametrize("shape", [(0, 3, 9, 11), (1, 3, 0, 5), (2, 3, 0)])
@pytest.mark.parametrize("groups", [1, 3])
def test_nothing_in_gives_zeros(shape, groups, compiled) -> None:
    window = (3,) * (len(shape) - 2)
    problem = problem_of(shape, "f4", 3, window, groups, mode="same", boundary="zero")
    got = WeightGradient(problem).run(np.zeros(shape), np.zeros(problem.map_shape))
    assert got.shape == (3, 3 // groups, *window)
    assert not got.any()


@pytest.mark.parametrize("dtype", ["f4", "i2"])
def test_an_empty_input_between_constants_is_constants(dtype, compiled) -> None:
    problem = problem_of((2, 3, 0), dtype, 4, (3,), padding=2, boundary="constant:2")
    g = np.arange(np.prod(problem.map_shape), dtype=dtype).reshape(problem.map_shape)
    got = WeightGradient(problem).run(np.zeros((2, 3, 0), dtype), g)
    np.testing.assert_array_equal(got, np.broadcast_to(2 * g.sum(axis=(0, 2))[:, None, None], (4, 3, 3)))


def test_it_says_what_it_does(compiled) -> None:
    for case in CASES:
        shape, outputs, window, groups, options = case
        topics = dict(WeightGradient(problem_of(shape, "f4", outputs, window, groups, **options)).describe())
        assert {"method", "blocks", "error"} <= set(topics)


def test_refusals_name_what_was_given() -> None:
    problem = problem_of((2, 3, 9), "f4", 4, (3,), padding=1)
    gradient = WeightGradient(problem)
    with pytest.raises(GeometryError, match=r"x has the shape \(2, 3, 8\), but this layer's is \(2, 3, 9\)"):
        gradient.run(np.zeros((2, 3, 8)), np.zeros((2, 4, 9)))
    with pytest.raises(GeometryError, match=r"g has the shape \(2, 3, 9\), but this layer's is \(2, 4, 9\)"):
        gradient.run(np.zeros((2, 3, 9)), np.zeros((2, 3, 9)))
    with pytest.raises(DtypeError, match="x has dtype complex128, but this layer's sums are float32"):
        gradient.run(np.zeros((2, 3, 9), complex), np.zeros((2, 4, 9)))
    whole = WeightGradient(problem_of((2, 3, 9), "i2", 4, (3,), padding=1))
    with pytest.raises(DtypeError, match="g has dtype float64, but this layer's sums are int32"):
        whole.run(np.zeros((2, 3, 9), "i2"), np.zeros((2, 4, 9)))
    with pytest.raises(DtypeError, match=r"int32 sums may overflow: .* = 9663676416 > 2147483647"):
        whole.run(np.full((2, 3, 9), 1 << 14, "i2"), np.full((2, 4, 9), 1 << 15, "i4"))
    with pytest.raises(DtypeError, match="sums of this layer are complex64"):
        WeightGradient(problem_of((2, 3, 9), "c8", 4, (3,), padding=1))
    plain = ft.Convolution(np.ones(3))._problem((9,), np.dtype("f4"), None)[0]
    with pytest.raises(GeometryError, match="channels=True"):
        WeightGradient(plain)


@pytest.mark.skipif(not kernels.available() or sys.platform != "linux", reason="needs compiled kernels and mprotect")
@pytest.mark.parametrize("isa", ["", "avx2", "sse2"])
def test_whole_layers_stay_inside_their_arrays(isa) -> None:
    """A child process, since a read beyond an array ends it; with narrower instruction sets too."""
    import os

    from faltung.compiler import isa as isas

    if isa and isa not in isas.runnable(isas._host_features()):
        pytest.skip(f"this CPU does not run {isa}")
    paths = [str(Path(__file__).parents[1] / "runtime"), str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c",
         f"import sys; sys.path[:0] = {paths!r}; from test_weight_gradient import guarded; guarded()"],
        capture_output=True, timeout=300, check=False, env={**os.environ, "FALTUNG_ISA": isa},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert int(done.stdout) == 4 * len(CASES)


def guarded() -> None:
    """Run every case from inputs and through scratch memory that lie flush against protected pages."""
    from guards import Guards

    from faltung.runtime import workspace

    guards, runs = Guards(), 0
    workspace.borrow = lambda size: (guards.address(size), None)
    for shape, outputs, window, groups, options in CASES:
        for boundary in ("zero", "edge"):
            problem = problem_of(shape, "f4", outputs, window, groups, boundary=boundary, **options)
            x, g = filled(problem, 7, whole=True)
            want = written_out(problem, x, g, boundary)
            for guards.end in (True, False):
                got = WeightGradient(problem).run(guards.array(x.shape, "f4", x), guards.array(g.shape, "f4", g), 1)
                np.testing.assert_array_equal(got, want)
                guards.check_and_reuse()
                runs += 1
    print(runs)
