"""The choice among recipes, and what a caller may demand of it."""

import numpy as np
import pytest

import faltung as ft
from faltung.algorithms.task import Recipe, Rejection, Task
from faltung.compiler import kernels
from faltung.plan.choice import Wishes, choose
from faltung.problem.kernel import facts

PLAIN = "direct" if kernels.available() else "numpy"


def recipe(name, nanoseconds, error=0.0, workspace=0):
    return Recipe(name, nanoseconds, workspace, error, error / 10, (name,), lambda: pytest.fail("nothing is run here"))


def task(tolerance=1e-4, approximate=False):
    kernel = np.array([0.25, 0.75])
    c = ft.Convolution(kernel)
    problem, kernels = c._problem((100,), np.dtype(np.float32), None)
    return Task(problem, np.dtype(np.float32), tuple(kernels), (facts(kernel),), tolerance, approximate)


def chosen(answers, of=None, **wishes):
    return choose(answers, of or task(), Wishes(**wishes))[0].algorithm


def test_the_fastest_is_taken() -> None:
    assert chosen([recipe("direct", 900.0), recipe("other", 800.0), Rejection("third", "it cannot")]) == "other"


def test_one_that_is_not_precise_enough_is_not() -> None:
    answers = [recipe("direct", 900.0), recipe("rough", 100.0, error=2e-4)]
    assert chosen(answers) == "direct"
    assert chosen(answers, task(1e-3)) == "rough"
    others = choose(answers, task(), Wishes())[1]
    assert isinstance(others[0], Rejection)
    assert others[0].reason == "its error bound is 2.0e-04 of ‖kernel‖₁ · max|x|, 1.0e-04 is allowed"


def test_plain_sums_are_precise_enough_unless_a_tolerance_is_named() -> None:
    assert chosen([recipe("direct", 900.0, error=1.0)]) == "direct"
    with pytest.raises(ft.errors.PlanError, match=r"direct: its error bound is 1\.0e\+00 .*; allow a larger"):
        chosen([recipe("direct", 900.0, error=1.0)], task(1e-4, approximate=True))


def test_a_nan_in_the_bound_is_not_precise() -> None:
    assert chosen([recipe("direct", 900.0, error=np.nan), recipe("other", 1.0, error=np.nan)]) == "direct"


def test_memory_is_obeyed() -> None:
    answers = [recipe("direct", 900.0, workspace=10), recipe("large", 100.0, workspace=1000)]
    assert chosen(answers) == "large"
    assert chosen(answers, max_memory=999) == "direct"
    with pytest.raises(ft.errors.PlanError, match="it needs 10 bytes of scratch for each thread, max_memory is 9"):
        chosen(answers, max_memory=9)


def test_one_can_be_forced() -> None:
    answers = [recipe("direct", 900.0), recipe("other", 800.0), Rejection("third", "it cannot")]
    assert chosen(answers, algorithm="direct") == "direct"
    with pytest.raises(ft.errors.PlanError, match="algorithm='third' does not serve this problem: it cannot"):
        chosen(answers, algorithm="third")
    with pytest.raises(ft.errors.PlanError, match="unknown algorithm 'fourth'; there are 'direct', 'other', 'third'"):
        chosen(answers, algorithm="fourth")


@pytest.mark.parametrize("name", ["tolerance", "max_memory"])
@pytest.mark.parametrize("value", [-1, "much", True, float("nan"), float("inf")])
def test_wishes_are_numbers(name, value) -> None:
    with pytest.raises(ft.errors.PlanError, match=f"{name} must be a number of at least 0"):
        ft.correlate(np.zeros(5), [1.0], **{name: value})


def test_wishes_reach_the_plan() -> None:
    x = np.arange(1000.0)
    with pytest.raises(ft.errors.PlanError, match="max_memory is 1"):
        ft.correlate(x, [1.0, 2.0], max_memory=1)
    with pytest.raises(ft.errors.PlanError, match="unknown algorithm 'nonsense'"):
        ft.convolve(x, [1.0, 2.0], algorithm="nonsense")
    same = ft.correlate(x, [1.0, 2.0], algorithm=PLAIN, tolerance=1e-10, max_memory=1 << 30)
    np.testing.assert_array_equal(same, ft.correlate(x, [1.0, 2.0]))


def test_explain_says_what_spoke_against_the_others() -> None:
    text = ft.Convolution(np.ones((3, 3)) + np.eye(3)).plan((64, 64)).explain()
    assert f"{PLAIN}, predicted" in text
    assert "not numpy" in text if PLAIN == "direct" else "not direct" in text
