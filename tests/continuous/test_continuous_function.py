"""Functions: what is found in them, their calculus, and what is refused."""

import math
import pickle

import numpy as np
import pytest

from faltung.continuous import Function, box, bspline, convolve, exponential, gaussian, impulse
from faltung.errors import PlanError, ProblemError


def same(x):
    return np.asarray(x) * 1.0


@pytest.mark.parametrize("at", [0.3, -0.77, 1 / 3, 0.0, 1e-5, 0.5 - 1e-4, math.sqrt(2) / 2])
@pytest.mark.parametrize(
    ("f", "precision"),
    [(np.sign, 2e-16), (np.abs, 1e-12), (lambda x: np.sqrt(np.abs(x)), 1e-12)],
    ids=["jump", "kink", "cusp"],
)
def test_breaks_are_found(f, precision: float, at: float) -> None:
    found = Function(lambda x: f(x - at), support=(-1, 1))
    assert found.breaks == pytest.approx([at], abs=precision)
    # On either side of a jump or a kink one polynomial does; a cusp has no such.
    assert len(found.pieces.coefficients) == 2 or f(0.25) == 0.5


def test_breaks_found_are_as_short_as_they_can_be() -> None:
    steps = Function(lambda x: np.floor(10 * x), support=(0, 1))
    assert steps.breaks == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def test_breaks_given_are_kept_even_where_nothing_happens() -> None:
    f = Function(np.cos, support=(0, 3), breaks=(2, 1))
    assert f.breaks == (1.0, 2.0)
    assert convolve(f, box(width=0.5)).breaks == pytest.approx((0.25, 0.75, 1.25, 1.75, 2.25, 2.75))


def test_a_needle_between_the_samples_is_found() -> None:
    needle = Function(lambda x: np.exp(-(((x - 0.37) / 0.002) ** 2)), support=(-1, 1))
    assert float(needle.integral()) == pytest.approx(0.002 * math.sqrt(math.pi), rel=1e-12)


def test_a_function_of_numbers_is_called_point_by_point_and_says_so() -> None:
    slow = Function(lambda x: math.exp(x) if x < 0 else 1.0, support=(-1, 1))
    assert "one point at a time" in repr(slow)
    assert slow([-1.0, 0.5]).tolist() == [math.exp(-1), 1.0]
    # A constant needs no array; one that only looks so (it takes the first value) does.
    assert Function(lambda x: 2, support=(0, 1))([0.1, 0.2, 3]).tolist() == [2, 2, 0]
    assert Function(lambda x: np.ravel(x)[0], support=(0, 1))([0.1, 0.2]).tolist() == [0.1, 0.2]


def test_it_is_never_called_outside_the_support() -> None:
    seen = []

    def watched(x):
        seen.extend([x.min(), x.max()])
        return np.sqrt(x * (2 - x))

    f = Function(watched, support=(0, 2))
    convolve(f, box())
    assert f([-5, 1, 7]).tolist() == [0, 1, 0]
    assert min(seen) >= 0
    assert max(seen) <= 2


def test_values_keep_the_shape_and_nan() -> None:
    for f in (Function(np.cos, support=(-1, 1)), convolve(box(), bspline(1)), gaussian(), box(), exponential()):
        assert f(np.zeros((2, 3, 0))).shape == (2, 3, 0)
        assert f(0.25).shape == ()
        assert np.isnan(f(np.nan))
        assert f([-np.inf, np.inf]).tolist() == [0, 0]


def test_at_a_jump_formulas_and_results_give_the_mean() -> None:
    for f in (box(), convolve(Function(np.ones_like, support=(-0.5, 0.5)), impulse())):
        assert float(f(0.499)) == 1
    pieces = box().pieces
    assert pieces(np.array([-0.5, 0.0, 0.5])).tolist() == [0.5, 1, 0.5]
    assert box()([-0.5, 0.5]).tolist() == [0.5, 0.5]
    assert exponential(start=1)(1.0) == 0.5


def test_derivative_and_integral_against_formulas() -> None:
    f = Function(np.sin, support=(0, 5))
    x = np.linspace(0.01, 4.99, 99)
    slope = f.derivative()
    assert np.abs(slope(x) - np.cos(x)).max() <= slope.error < 1e-10
    assert np.abs(f.integral(0, x) - (1 - np.cos(x))).max() < 1e-14
    assert np.allclose(f.integral(x, 1), np.cos(x) - np.cos(1), atol=1e-14)
    assert f.integral(-9, x[:, None]).shape == (99, 1)
    assert float(f.integral()) == pytest.approx(1 - math.cos(5))


@pytest.mark.parametrize(
    "f", [gaussian(0.7, 2, -3), box(3, 1, 2), bspline(3, 0.5, -1), exponential(2, -1, 4)], ids=repr
)
def test_families_move_as_functions_do(f: Function) -> None:
    x = np.linspace(-6, 6, 1001) + 1e-5
    moved = (-2 * f).reflect().shift(0.5)
    assert np.allclose(moved(x), -2 * f(0.5 - x), atol=1e-14)
    assert np.allclose(moved.terms[0](x), moved(x), atol=1e-14)
    assert np.allclose(moved.pieces(x), moved(x), atol=1e-13)
    assert moved.support == tuple(sorted(0.5 - end for end in f.support))


def test_sums_have_the_breaks_of_both() -> None:
    total = exponential() + box(centre=100) - 2 * impulse(3)
    assert total.support == (0, math.inf)
    assert total.breaks == (99.5, 100.5)
    assert total.impulses == ((3.0, -2.0),)
    assert total(100.0) == 1
    assert float(total.integral()) == pytest.approx(0, abs=1e-13)
    assert convolve(total, box())(100.25) == pytest.approx(0.75)
    assert (impulse(1) - impulse(1)).impulses == ()


def test_infinite_supports_are_cut_where_nothing_is_left() -> None:
    for f, exact in (
        (lambda x: np.exp(-(x**2)), math.sqrt(math.pi)),
        (lambda x: 1 / np.cosh(np.clip(x, -700, 700)), math.pi),
        (lambda x: (1 + x**2) ** -4.0, 5 * math.pi / 16),
    ):
        g = Function(f, support=(-math.inf, math.inf))
        assert all(map(math.isfinite, g.domain))
        assert float(g.integral()) == pytest.approx(exact, rel=1e-13)
        assert g.breaks == ()
    shifted = Function(lambda x: np.exp(x - 7), support=(-math.inf, 7))
    assert shifted.domain[1] == 7
    assert float(shifted.integral()) == pytest.approx(1, rel=1e-13)


def test_pickling() -> None:
    for f in (gaussian(), convolve(gaussian(), box()), convolve(box(), bspline(2)), Function(np.cos, support=(0, 1))):
        again = pickle.loads(pickle.dumps(f))
        assert repr(again) == repr(f)
        assert again(0.3) == f(0.3)


def test_repr() -> None:
    assert repr(gaussian(2)) == "Function(support=(-inf, inf), 1·N(x; mean 0, sigma 2))"
    assert repr(exponential(2, 1)) == "Function(support=(1, inf), 1·exp(-2·(x - 1))·[x > 1])"
    assert repr(box(centre=-1)) == "Function(support=(-1.5, -0.5), 1·[|x + 1| < 0.5])"
    assert repr(impulse(2)) == "Function(support=(2, 2), impulses=((2.0, 1.0),), error 0)"
    assert "Gaussian * box" in repr(convolve(gaussian(), box()))
    many = Function(lambda x: np.floor(x), support=(0, 12))
    assert "breaks=11 points" in repr(many)
    assert box()._repr_html_() == "<code>Function(support=(-0.5, 0.5), 1·[|x| &lt; 0.5])</code>"


REFUSED = {
    "reversed": (lambda: Function(same, support=(2, 1)), ProblemError, r"did you mean \(1, 2\)\?"),
    "empty": (lambda: Function(same, support=(1, 1)), ProblemError, "must have a length"),
    "nan support": (lambda: Function(same, support=(0, math.nan)), ProblemError, "no end may be NaN"),
    "no pair": (lambda: Function(same, support=3), ProblemError, "give two numbers"),
    "no function": (lambda: Function(3, support=(0, 1)), ProblemError, "give a function of x"),
    "nan": (lambda: Function(np.log, support=(-1, 1)), ProblemError, "gives nan at x = -0.98.*finite"),
    "pole": (lambda: Function(lambda x: 1 / (x - 0.3), support=(0, 1)), ProblemError, "without bound near x = 0.3"),
    "root pole": (lambda: Function(lambda x: x**-0.5, support=(0, 1)), ProblemError, "without bound near x = "),
    "complex": (lambda: Function(lambda x: np.exp(1j * x), support=(0, 1)), ProblemError, "real and the imaginary"),
    "two values": (lambda: Function(lambda x: np.stack([x, x]), support=(0, 1)), ProblemError, "one real number"),
    "noise": (
        lambda: Function(lambda x: np.sin(1e9 * np.cos(1e9 * x)), support=(0, 1)),
        PlanError,
        "not resolved to 1e-14 .* 4096 polynomials",
    ),
    "slow decay": (lambda: Function(lambda x: 1 / (1 + x * x), support=(0, math.inf)), PlanError, "decays too slowly"),
    "wave": (lambda: Function(np.cos, support=(-math.inf, math.inf)), PlanError, "one period of a periodic function"),
    "growth": (lambda: Function(np.exp, support=(0, math.inf)), ProblemError, "grows without bound"),
    "nothing": (lambda: Function(lambda x: 0 * x, support=(0, math.inf)), ProblemError, "0 wherever it was sampled"),
    "break outside": (lambda: Function(same, support=(0, 1), breaks=[2]), ProblemError, "the break 2 lies outside"),
    "tolerance": (lambda: Function(same, support=(0, 1), tolerance=0), ProblemError, "tolerance is 0"),
    "width": (lambda: box(width=-1), ProblemError, "box: width is -1; give a number above 0"),
    "sigma": (lambda: gaussian(sigma=0), ProblemError, "gaussian: sigma is 0"),
    "rate": (lambda: exponential(rate=math.inf), ProblemError, "exponential: rate is inf"),
    "spacing": (lambda: bspline(1, spacing="a"), ProblemError, "bspline: spacing is 'a'"),
    "degree": (lambda: bspline(1.5), ProblemError, "degree is 1.5; give a whole number"),
    "height": (lambda: box(height=True), ProblemError, "height is True"),
    "place": (lambda: impulse(math.nan), ProblemError, "impulse: at is nan"),
    "factor": (lambda: math.nan * box(), ProblemError, "the factor is nan"),
    "distance": (lambda: box().shift(math.inf), ProblemError, "the distance is inf"),
    "an array": (lambda: convolve(np.ones(3), box()), ProblemError, r"got ndarray and Function; give two Functions"),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(call, error, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_operators_with_strangers() -> None:
    for strange in ("a", None, True, [1.0]):
        with pytest.raises(TypeError):
            box() * strange
        with pytest.raises(TypeError):
            box() + strange
        with pytest.raises(TypeError):
            box() - strange
