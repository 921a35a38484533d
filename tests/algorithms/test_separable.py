"""The passes of a separable filter against the definition, forced for every problem, whatever the planner would choose."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from separable_cases import Array, outer, problem, solve

from faltung import Convolution, definition
from faltung.algorithms import separable, separable_cost
from faltung.algorithms.task import Recipe, Rejection
from faltung.compiler import kernels
from faltung.errors import PlanError

pytestmark = pytest.mark.skipif(not kernels.available(), reason="compiled kernels are off")

RULES = ("zero", "constant:3", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric")


@st.composite
def asked(draw: st.DrawFn) -> tuple[tuple[int, ...], Array, str, dict[str, Any]]:
    """Draw an array's shape, a kernel of rank 1 or 2, a dtype and the options of a correlation."""
    ndim = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(1, 40 if ndim < 3 else 13)) for _ in range(ndim))
    axes = tuple(sorted(draw(st.sets(st.integers(0, ndim - 1), min_size=1))))
    dtype = draw(st.sampled_from(["f4", "f8", "u1", "i2", "i4"]))
    whole = dtype[0] != "f" and draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    terms = []
    for _ in range(1 if whole else draw(st.integers(1, 2))):
        lines = []
        for _ in axes:
            line = (
                rng.integers(-4, 5, draw(st.integers(1, 7)))
                if not terms
                else rng.integers(-4, 5, len(terms[0][len(lines)]))
            )
            lines.append(line + draw(st.sampled_from([-1, 0, 1])) * line[::-1])
        terms.append(lines)
    kernel = reduce(np.add, [outer(*lines) for lines in terms]) * (1 if whole else 0.7)
    options: dict[str, Any] = {"axes": axes, "mode": draw(st.sampled_from(["same", "full"]))}
    sides = st.sampled_from(RULES)
    options["boundary"] = [draw(st.one_of(sides, st.tuples(sides, sides))) for _ in axes]
    for name in ("stride", "dilation"):
        options[name] = tuple(draw(st.sampled_from([1, 1, 1, 2, 3])) for _ in axes)
    return shape, kernel, dtype, options


@given(asked(), st.integers(0, 2**32))
def test_every_problem_is_solved_within_the_bound(given_: tuple[Any, ...], seed: int) -> None:
    shape, kernel, dtype, options = given_
    task, x = problem(shape, kernel, dtype, seed, **options)
    recipe = separable.propose(task)
    if isinstance(recipe, Rejection):
        assert "no axis" in recipe.reason or "no sum of a few" in recipe.reason, recipe.reason
        return
    want = definition.correlate(x, kernel, **options)
    got = solve(recipe, task, x)[0]
    scale = float(definition.magnitude(x, kernel, **options).max(initial=0)) / max(float(np.abs(kernel).sum()), 1e-300)
    # Converting kernel and input and working out odd boundaries round too, as `plan.bounds` has it.
    unit = float(np.finfo(task.problem.dtypes.accumulate).eps) if task.problem.dtypes.accumulate.kind == "f" else 0
    error = recipe.error * 30 ** _odd(options) * max(scale, float(np.abs(x.astype(float)).max()), 3)
    allowed = error + 20 * unit * float(definition.magnitude(x, kernel, **options).max(initial=0))
    assert np.abs(got.astype(np.longdouble) - want).max(initial=0) <= allowed
    for threads, block, lanes in ((1, 2000, 20), (3, 1 << 20, 8192)):
        assert solve(recipe, task, x, threads, block, lanes)[0].tobytes() == got.tobytes()


def _odd(options: dict[str, Any]) -> int:
    return sum("anti" in str(rule) for rule in options["boundary"])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_bound_holds_and_is_within_reach(dtype: str) -> None:
    rng, reached = np.random.default_rng(0), 0.0
    for taps in ((3, 3), (9, 9), (5, 4, 3), (21, 1)):
        kernel = outer(*(rng.standard_normal(n) for n in taps))
        kernel = kernel.astype(dtype)
        task, x = problem((40,) * len(taps), kernel, dtype, 1, boundary="wrap")
        recipe = separable.propose(task)
        assert isinstance(recipe, Recipe)
        error = np.abs(solve(recipe, task, x)[0] - definition.correlate(x, kernel, boundary="wrap")).max()
        bound = recipe.error * np.abs(x).max()
        assert error <= bound
        reached = max(reached, float(error / bound))
    assert reached >= 0.01


def test_a_bank_holds_kernels_of_several_ranks() -> None:
    rng = np.random.default_rng(3)
    bank = [outer(rng.standard_normal(5), rng.standard_normal(5)) for _ in range(2)]
    bank.append(bank[0] + outer(np.arange(5.0), np.ones(5)))
    task, x = problem((30, 50), bank, "f8", 2)
    recipe = separable.propose(task)
    assert isinstance(recipe, Recipe)
    assert len(recipe.structure) == 3
    for got, kernel in zip(solve(recipe, task, x), bank, strict=True):
        np.testing.assert_allclose(got, definition.correlate(x, kernel).astype(float), rtol=0, atol=1e-12)


def test_interleaved_channels_are_carried_along() -> None:
    kernel = outer([1.0, 2, 1], [1.0, 4, 6, 4, 1])
    task, x = problem((20, 30, 3), kernel, "u1", 4, axes=(0, 1))
    recipe = separable.propose(task)
    assert isinstance(recipe, Recipe)
    want = definition.correlate(x, kernel, axes=(0, 1))
    np.testing.assert_array_equal(solve(recipe, task, x)[0], want.astype(np.float32))


def test_stored_integers_are_rounded_and_saturate() -> None:
    kernel = outer([0.5, 1.0, 0.5], [0.25, 0.5, 0.25]) * 1.5
    task, x = problem((33, 47), kernel, "u1", 5, out_dtype="u1")
    recipe = separable.propose(task)
    assert isinstance(recipe, Recipe)
    want = np.clip(np.rint(definition.correlate(x, kernel).astype(np.float64)), 0, 255)
    np.testing.assert_array_equal(solve(recipe, task, x)[0], want)


@pytest.mark.parametrize("rank", [1, 2])
def test_a_nan_reaches_its_window_and_nothing_else(rank: int) -> None:
    line = np.array([1.0, 0, -3, 0, 1])
    kernel = outer(line, line) + (rank - 1) * outer(np.arange(5.0), np.ones(5))
    task, x = problem((40, 70), kernel, "f4", 6)
    x[20, 33] = np.nan
    recipe = separable.propose(task)
    assert isinstance(recipe, Recipe)
    got = solve(recipe, task, x)[0]
    bad = np.isnan(got)
    assert bad.sum() == 25
    assert bad[18:23, 31:36].all()


@pytest.mark.parametrize("huge", [np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("block", [3000, 1 << 20])
def test_infinite_and_huge_samples_give_what_the_plain_sum_gives(huge: float, rank: int, block: int) -> None:
    line = np.array([0.1, 0.2, -0.4, 0.2, 0.1])
    kernel = (outer(line, line) + (rank - 1) * outer(np.arange(5.0) - 2, np.ones(5)) / 30).astype(np.float32)
    task, x = problem((60, 70), kernel, "f4", 7)
    x[20, 30:40], x[45, 3], x[21, 60] = huge, huge, np.nan
    recipe = separable.propose(task)
    assert isinstance(recipe, Recipe)
    got = solve(recipe, task, x, block=block)[0]
    with np.errstate(all="ignore"):
        want = definition.correlate(x, kernel).astype(np.float32)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_array_equal(got[np.isinf(want)], want[np.isinf(want)])
        kept = np.isfinite(want)
        clean = definition.correlate(np.where(np.abs(x) > 1e30, 0, x), kernel).astype(np.float32)
        far = kept & (np.abs(want - clean) < 1)
        np.testing.assert_allclose(got[far], want[far], rtol=0, atol=1e-5)
        np.testing.assert_allclose(got[kept], want[kept], rtol=1e-4, atol=1e-4 * (abs(huge) if huge < 1e39 else 1))


def test_an_all_zero_window_gives_exactly_zero() -> None:
    kernel = outer(np.arange(1.0, 8), np.arange(2.0, 9)) + outer(np.ones(7), np.arange(7.0) ** 2)
    task, x = problem((50, 50), kernel, "f4", 8)
    x[10:40, 10:40] = 0
    recipe = separable.propose(task)
    assert isinstance(recipe, Recipe)
    assert (solve(recipe, task, x)[0][13:37, 13:37] == 0).all()


def test_large_outputs_are_stored_past_the_caches_with_equal_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = outer(np.arange(1.0, 6), np.arange(2.0, 9))
    for shape in ((40, 160), (17, 48), (64, 16)):
        task, x = problem(shape, kernel, "f4", 9)
        recipe = separable.propose(task)
        assert isinstance(recipe, Recipe)
        want = solve(recipe, task, x)[0].tobytes()
        with monkeypatch.context() as patch:
            patch.setattr(separable, "STREAM_BYTES", 0)
            for shift in range(0, 64, 4):
                assert solve(recipe, task, x, shift=shift)[0].tobytes() == want


def test_a_sequence_of_boxes_covers_the_output_once() -> None:
    task, _ = problem((70, 50, 90), np.ones((5, 3, 7)), "f4", 0)
    recipe = separable.propose(task)
    assert isinstance(recipe, Recipe)
    method: Any = recipe.prepare()
    for threads in (1, 4):
        seen = np.zeros((70, 50, 90), int)
        for box in separable_cost.boxes(method.layout, method.active, 4, threads):
            seen[tuple(slice(*ends) for ends in box)] += 1
        assert (seen == 1).all()


def test_what_is_not_served_is_rejected_with_the_reason() -> None:
    rng = np.random.default_rng(1)
    cases = [
        ((40, 40), rng.standard_normal((31, 31)), "f4", {}, "the kernel is no sum of a few outer products"),
        ((40, 40), np.eye(3, dtype=int), "i4", {}, "the kernel is no outer product of integer lines"),
        ((0, 40), np.ones((3, 3)), "f4", {"boundary": "zero"}, "the array is empty"),
        ((40, 40), np.full((3, 3), np.nan), "f4", {}, "the kernel holds NaN or Inf"),
        ((40, 40), np.ones((1, 1)), "f4", {}, "no axis has more than one tap"),
    ]
    for shape, kernel, dtype, options, reason in cases:
        answer = separable.propose(problem(shape, kernel, dtype, 0, **options)[0])
        assert isinstance(answer, Rejection)
        assert answer.reason == reason


def test_it_says_how_it_works() -> None:
    task, _ = problem((512, 512), outer([1.0, 2, 1], [1.0, 2, 1]), "f4", 0)
    recipe = separable.propose(task)
    assert isinstance(recipe, Recipe)
    assert recipe.structure == ["outer product of lines of 3 x 3 taps"]
    told = dict(recipe.prepare().describe())
    assert told["paired taps"] == "in 2 of 2 factors, which halves the multiplications"
    assert recipe.workspace > 0


def rotated_gaussian(size: int, long: float, wide: float) -> Array:
    """Give a Gaussian whose axes lie at 30 degrees: no outer product, but close to a sum of few."""
    y, x = np.mgrid[:size, :size] - size // 2
    u, v = 0.866 * x + 0.5 * y, 0.866 * y - 0.5 * x
    return np.asarray(np.exp(-((u / long) ** 2) - (v / wide) ** 2))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-2, 0.1])
def test_a_named_tolerance_lowers_the_rank_and_is_kept(dtype: str, tolerance: float) -> None:
    kernel = rotated_gaussian(15, 4.0, 3.0).astype(dtype)
    x = np.random.default_rng(3).standard_normal((40, 37)).astype(dtype)
    with pytest.raises(PlanError, match="no sum of a few outer products"):
        Convolution(kernel).plan(x.shape, dtype, algorithm="separable")
    cut = Convolution(kernel).plan(x.shape, dtype, algorithm="separable", tolerance=tolerance)
    norm1 = float(np.abs(kernel).sum(dtype=float))
    assert "leaving out" in cut.explain()
    assert cut.error_bound <= tolerance * norm1
    error = float(np.abs(cut(x) - definition.convolve(x.astype(float), kernel.astype(float))).max())
    assert 1e-6 * norm1 < error <= cut.error_bound * float(np.abs(x).max())


def test_integers_are_never_approximated() -> None:
    kernel = np.rint(rotated_gaussian(15, 4.0, 3.0) * 100).astype(np.int32)
    with pytest.raises(PlanError, match="no outer product of integer lines"):
        Convolution(kernel).plan((40, 37), np.int32, algorithm="separable", tolerance=0.1)
