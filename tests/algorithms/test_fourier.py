"""The tiled Fourier method: what it gives, against the definition, and what its tiles do with unusual samples."""

import numpy as np
import pytest
from fourier_cases import method, run, task
from scipy import signal

from faltung import definition
from faltung.algorithms import fourier, fourier_cost
from faltung.algorithms.fourier_tiles import Tiling, view
from faltung.algorithms.task import Recipe, Rejection
from faltung.compiler import isa as isas
from faltung.compiler import kernels

pytestmark = pytest.mark.skipif(not kernels.available(), reason="compiled kernels are off")

BOUNDARIES = ["zero", "constant:3", "edge", "reflect", "symmetric", "wrap", "antireflect", ("edge", "constant:-2")]


def places(rng, shape, count=30):
    """Choose outputs: the corners and some others."""
    chosen = [tuple(int(i) for i in rng.integers(0, shape)) for _ in range(count)]
    return chosen + [
        tuple((n - 1) * e for n, e in zip(shape, ends, strict=True)) for ends in np.ndindex(*(2,) * len(shape))
    ]


def compare(x, kernel, shape=None, dtype="f8", out=None, **options):
    """Hold every chosen output against the definition; give the largest error over ‖kernel‖₁ · max|x|."""
    rng = np.random.default_rng(7)
    asked = task(kernel, x.shape, dtype, out, **options)
    got = run(asked, x, shape)[0]
    at = places(rng, got.shape)
    asked_of_it = {"origin" if name == "anchor" else name: value for name, value in options.items()}
    want = definition.correlate(x, kernel, at=at, **asked_of_it).astype(float)
    constants = [abs(float(np.real(rule.value))) for sides in asked.problem.boundary for rule in sides]
    most = max([float(np.abs(x.astype(float)).max()), *constants]) * 4
    error = np.abs(np.array([got[i] for i in at], float) - want).max()
    return error / (np.abs(kernel).sum() * most)


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_every_boundary_over_three_tiles_an_axis(dtype, boundary) -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((71, 150)).astype(dtype), rng.standard_normal((6, 9))
    sides = [boundary] * 2 if isinstance(boundary, tuple) else boundary
    tolerance = 1e-6 if dtype == "f4" else 1e-15
    assert compare(x, kernel, (32, 48), dtype, boundary=sides) < tolerance
    line, taps = rng.standard_normal(5001).astype(dtype), rng.standard_normal(130)
    assert (
        compare(line, taps, (16, 48), dtype, boundary=[boundary] if isinstance(boundary, tuple) else boundary)
        < tolerance
    )


CASES = {
    "one tile": ((20, 21), (3, 5), (32, 32), {}),
    "a kernel larger than the array": ((7, 9), (20, 23), (32, 48), {"boundary": "reflect"}),
    "rank 3": ((33, 20, 50), (5, 4, 7), (16, 16, 32), {}),
    "rank 3, threes": ((30, 50, 60), (5, 4, 7), (12, 48, 16), {"boundary": "wrap"}),
    "rank 4": ((9, 8, 20, 21), (3, 2, 4, 5), (6, 4, 16, 16), {"mode": "full"}),
    "images": ((5, 40, 50), (5, 6), (32, 32), {"axes": (1, 2)}),
    "images behind": ((40, 50, 3), (5, 6), (32, 32), {"axes": (0, 1)}),
    "images between": ((40, 3, 50), (5, 6), (32, 32), {"axes": (0, 2)}),
    "lines of a plane": ((600, 4), (20,), (16, 16), {"axes": 0}),
    "valid": ((90, 70), (7, 8), (32, 32), {"mode": "valid"}),
    "full": ((50, 60), (7, 8), (32, 32), {"mode": "full"}),
    "stride": ((101, 90), (5, 4), (32, 32), {"stride": (2, 3)}),
    "stride of a line": ((3001,), (50,), (16, 32), {"stride": 7}),
    "dilation": ((80, 90), (5, 4), (48, 32), {"dilation": (3, 2)}),
    "anchor": ((80, 90), (5, 4), (32, 32), {"anchor": (0, 3)}),
    "padding": ((40, 40), (5, 4), (32, 32), {"padding": [(9, 2), (0, 30)]}),
    "one row": ((1, 500), (1, 31), (16, 128), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_geometry(name) -> None:
    shape, size, tile, options = CASES[name]
    rng = np.random.default_rng(1)
    x, kernel = rng.standard_normal(shape), rng.standard_normal(size)
    seen = view(task(kernel, shape, "f8", **options).problem)
    assert compare(x, kernel, tile[-2:] if len(seen.axes) == 1 else tile, **options) < 1e-15
    assert compare(x, kernel, **options) < 1e-15


@pytest.mark.parametrize("dtype", ["u1", "i2", "f2", "i4", "f4"])
@pytest.mark.parametrize("out", [None, "input", "f8"])
def test_every_type(dtype, out) -> None:
    rng = np.random.default_rng(2)
    x, kernel = rng.integers(0, 100, (60, 70)).astype(dtype), rng.uniform(0, 1, (5, 6))
    kernel /= 2 * kernel.sum()
    asked = task(kernel, x.shape, dtype, out)
    got = run(asked, x, (32, 32))[0]
    want = definition.correlate(x, kernel).astype(float)
    if asked.problem.dtypes.output.kind in "iu":
        near = np.abs(want - np.rint(want)) < 0.49
        np.testing.assert_array_equal(got[near], np.rint(want)[near])
    else:
        np.testing.assert_allclose(got, want, atol=1e-4, rtol=0)


def test_a_bank_gives_what_its_kernels_give() -> None:
    rng = np.random.default_rng(3)
    x, bank = rng.standard_normal((70, 80)).astype("f4"), [rng.standard_normal((5, 7)) for _ in range(3)]
    got = run(task(bank, x.shape, "f4"), x, (32, 48))
    for one, kernel in zip(got, bank, strict=True):
        np.testing.assert_array_equal(one, run(task(kernel, x.shape, "f4"), x, (32, 48))[0])


def test_threads_and_layout_leave_the_bits() -> None:
    rng = np.random.default_rng(4)
    wide = (rng.standard_normal((3, 150, 260)) * 10 ** rng.uniform(-3, 3, (3, 150, 260))).astype("f4")
    x, kernel = wide[:, :, 3:203], rng.standard_normal((5, 7))
    prepared = method(task(kernel, x.shape, "f4", axes=(1, 2)), (32, 48))
    results = []
    for source, threads in ((np.ascontiguousarray(x), 1), (x, 1), (x, 3), (x[:, ::-1][:, ::-1], 2)):
        results.append(np.empty((1, *x.shape), "f4"))
        prepared.run(source, results[-1], threads)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_non_finite_samples_stay_in_their_windows(dtype) -> None:
    rng = np.random.default_rng(5)
    x, kernel = rng.standard_normal((150, 160)).astype(dtype), rng.standard_normal((7, 5))
    kernel[2, 3] = 0
    x[30, 40], x[60, 100], x[62, 101], x[149, 0], x[80, 80] = np.nan, np.inf, np.inf, -np.inf, np.nan
    for boundary in ("zero", "wrap"):
        got = run(task(kernel, x.shape, dtype, boundary=boundary), x, (48, 64))[0]
        want = definition.correlate(x, kernel, boundary=boundary).astype(float)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_array_equal(got[np.isinf(want)], want[np.isinf(want)])
        finite = np.isfinite(want)
        assert finite.mean() > 0.9
        np.testing.assert_allclose(got[finite], want[finite], atol=2e-5 if dtype == "f4" else 1e-13)


def test_missing_everywhere_needs_no_transform() -> None:
    x = np.random.default_rng(6).standard_normal((200, 200)).astype("f4")
    x[::4, ::4] = np.nan
    got = run(task(np.ones((9, 9)), x.shape, "f4"), x, (64, 64))
    assert np.isnan(got).all()


@pytest.mark.parametrize("boundary", ["zero", "edge"])
@pytest.mark.parametrize("size", [1e6, 1e20, 1e37])
def test_a_huge_sample_is_seen_only_by_its_windows(size, boundary) -> None:
    rng = np.random.default_rng(7)
    x, kernel = rng.standard_normal((150, 160)).astype("f4"), rng.standard_normal((9, 9))
    x[70, 80] = size
    got = run(task(kernel, x.shape, "f4", boundary=boundary), x, (64, 64))[0]
    away = np.ones(x.shape, bool)
    away[66:75, 76:85] = False
    calm = np.where(away, x, 0)
    calm[66:75, 76:85] = x[66:75, 76:85]
    calm[70, 80] = 0
    want = definition.correlate(calm, kernel, boundary=boundary).astype(float)
    assert np.abs(got - want)[away].max() <= 1e-4 * np.abs(kernel).sum() * np.abs(calm).max()
    weights = definition.correlate(np.where(x == x.max(), 1.0, 0.0), kernel, boundary=boundary).astype(float)
    np.testing.assert_allclose(got[~away] / size, weights[~away], atol=1e-4)


@pytest.mark.parametrize("boundary", ["zero", "symmetric"])
def test_windows_of_zeros_give_exactly_zero(boundary) -> None:
    rng = np.random.default_rng(8)
    x = np.zeros((150, 160), "f4")
    x[50:90, 30:120] = rng.standard_normal((40, 90))
    kernel = rng.standard_normal((7, 5))
    got = run(task(kernel, x.shape, "f4", boundary=boundary), x, (32, 48))[0]
    empty = definition.correlate(np.abs(x), np.ones((7, 5)), boundary=boundary) == 0
    assert 0.3 < empty.mean() < 0.95
    assert (got[empty] == 0).all()
    assert (got[~empty] != 0).mean() > 0.99


def test_a_dim_tile_beside_a_bright_one_keeps_its_digits() -> None:
    rng = np.random.default_rng(9)
    x, kernel = rng.standard_normal((30, 120)).astype("f4"), rng.standard_normal((5, 5))
    x[:, :60] *= np.float32(1e8)
    got = run(task(kernel, x.shape, "f4"), x, (48, 32))[0]
    want = definition.correlate(x, kernel).astype(float)
    assert np.abs(got - want)[:, 66:].max() <= 1e-5 * np.abs(kernel).sum() * np.abs(x[:, 62:]).max()


def test_tiny_samples_keep_their_digits() -> None:
    rng = np.random.default_rng(10)
    x, kernel = (1e-33 * rng.standard_normal((80, 80))).astype("f4"), rng.uniform(0, 1, (5, 5))
    got = run(task(kernel, x.shape, "f4"), x, (48, 48))[0]
    want = definition.correlate(x, kernel).astype(float)
    assert np.abs(got - want).max() <= 1e-6 * kernel.sum() * np.abs(x).max()


def test_long_lines() -> None:
    rng = np.random.default_rng(11)
    x, kernel = rng.standard_normal(300_000).astype("f4"), rng.standard_normal(20_001)
    want = signal.correlate(x.astype(float), kernel, "same", "fft")
    for tile in (None, (128, 384), (512, 1024)):
        got = run(task(kernel, x.shape, "f4", boundary="zero"), x, tile)[0]
        assert np.abs(got - want).max() < 1e-7 * np.abs(kernel).sum() * np.abs(x).max()


def test_what_it_refuses(monkeypatch) -> None:
    monkeypatch.setattr(fourier_cost, "LARGEST", 1 << 12)

    def answer(kernel, shape, dtype, **options):
        return fourier.propose(task(kernel, shape, dtype, **options))

    assert "integers are exact" in answer(np.ones((9, 9), int), (99, 99), "u1").reason
    assert "not finite" in answer(np.array([1.0, np.nan, 1.0]), (99,), "f8").reason
    assert "one tap" in answer(np.ones((1, 1)), (99, 99), "f8").reason
    assert "outside" in answer(np.full((9, 9), 1e-30), (99, 99), "f4").reason
    assert "tile of more than" in answer(np.ones((70, 70)), (300, 300), "f4").reason
    assert isinstance(answer(np.ones((9, 9)), (0, 99), "f4"), Rejection)


def test_every_candidate_holds_the_kernel_and_has_a_price() -> None:
    asked = task(np.ones((17, 31)), (1000, 2000), "f4")
    found = list(fourier_cost._candidates(asked, view(asked.problem)))
    assert len(found) > 10
    for tiling in found:
        assert min(tiling.step) > 0
        assert fourier_cost.nanoseconds(asked, tiling) > 0


def test_larger_problems_and_kernels_cost_more() -> None:
    def price(shape, size):
        answer = fourier.propose(task(np.random.default_rng(0).standard_normal(size), shape, "f4"))
        assert isinstance(answer, Recipe)
        return answer.nanoseconds

    assert price((512, 512), (31, 31)) < price((1024, 1024), (31, 31)) < price((1024, 1024), (101, 101))


def test_it_describes_itself() -> None:
    asked = task(np.ones((17, 31)), (1000, 2000), "f4")
    answer = fourier.propose(asked)
    assert isinstance(answer, Recipe)
    told = dict(answer.prepare().describe())
    assert "overlap-save" in told["method"]
    assert isas.host().name in told["instructions"]
    assert "tiles" in told["tile"]
    assert answer.workspace > 0


def test_tiles_cover_every_output_once() -> None:
    asked = task(np.ones((17, 31)), (3, 100, 200), "f4", axes=(1, 2), mode="full")
    tiling = Tiling(view(asked.problem), (48, 64))
    seen = np.zeros(tiling.view.dense, int)
    for tile in range(tiling.per_image):
        place = tiling.place(tile)
        seen[tuple(slice(f, f + n) for f, n in zip(place.first, place.wanted, strict=True))] += 1
    assert (seen == 1).all()
    assert tiling.tiles == 3 * tiling.per_image
