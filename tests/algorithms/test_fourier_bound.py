"""The error bound of the Fourier method: never exceeded, not absurdly far, and the expected error near the measured."""

import numpy as np
import pytest
from fourier_cases import method, run, task
from scipy import signal

from faltung.algorithms import fourier, fourier_bound
from faltung.algorithms.fourier_bound import guaranteed, stage_error, stages
from faltung.algorithms.task import Recipe
from faltung.compiler import kernels

needs_compiler = pytest.mark.skipif(not kernels.available(), reason="compiled kernels are off")

SIZES = [
    ((17,), (2,)),
    ((30,), (9,)),
    ((300,), (31,)),
    ((18, 20), (2, 3)),
    ((90, 70), (9, 8)),
    ((9, 20, 20), (3, 3, 4)),
]


def exact(x, kernel):
    """Correlate with zeros beyond the edges, in extended precision."""
    return signal.correlate(x.astype(np.longdouble), kernel.astype(np.longdouble), "same", "direct")


def samples(kind, rng, shape):
    """Draw data: the same everywhere, random, of one sign, cancelling, over six decades."""
    x = rng.standard_normal(shape)
    ramps = {
        "constant": np.full(shape, 1.1), "normal": x, "positive": np.abs(x) + 1,
        "cancelling": np.where(np.indices(shape).sum(0) % 2, 1.0, -1.0) + 1e-3 * x, "decades": x * 10 ** rng.uniform(-3, 3, shape),
    }  # fmt: skip
    return ramps[kind]


@needs_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_no_error_exceeds_the_bound_and_some_come_near(dtype) -> None:
    rng, worst, seen = np.random.default_rng(0), 0.0, 0
    for shape, size in SIZES:
        for kind in ("constant", "normal", "positive", "cancelling", "decades"):
            kernel = rng.standard_normal(size) if kind != "positive" else rng.uniform(0, 1, size)
            x = samples(kind, rng, shape).astype(dtype)
            asked = task(kernel.astype(dtype), shape, dtype, boundary="zero")
            answer = fourier.propose(asked)
            assert isinstance(answer, Recipe)
            got = run(asked, x)[0]
            want = exact(x, kernel.astype(dtype))
            ratio = float(np.abs(got.astype(np.longdouble) - want).max()) / (answer.error * float(np.abs(x).max()))
            assert ratio <= 1
            worst, seen = max(worst, ratio), seen + 1
    assert seen == 5 * len(SIZES)
    assert worst >= 0.01


@needs_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    ("shape", "size", "tile"), [((120, 150), (19, 19), (64, 96)), ((9000,), (301,), (64, 64))], ids=str
)
def test_the_expected_error_is_near_the_measured(shape, size, tile, dtype) -> None:
    rng = np.random.default_rng(1)
    x, kernel = rng.standard_normal(shape).astype(dtype), rng.standard_normal(size).astype(dtype)
    asked = task(kernel, shape, dtype, boundary="zero")
    got = run(asked, x, tile)[0].astype(np.longdouble)
    rms = float(np.sqrt(np.mean((got - exact(x, kernel)) ** 2)))
    prepared = method(asked, tile)
    unit = float(np.finfo(dtype).eps) / 2
    told = fourier_bound.expected(prepared.tiling.points, float(np.sqrt((kernel.astype(float) ** 2).sum())), unit)
    assert 0.5 < rms / told < 1.3


def test_the_bound_grows_with_everything_that_makes_errors() -> None:
    how = {"bridged": False, "fused": True, "wide": True, "filled": 1 << 20, "alone": True}

    def bound(lists, norm2=0.1, **changed):
        return guaranteed(lists, 1.0, norm2, 2.0**-24, **{**how, **changed})

    least = bound([(8, 8), (8, 8)])
    assert least < bound([(8, 8), (8, 8)], 0.2)
    assert least < bound([(8, 8), (8, 8, 2)])
    assert least > bound([(8, 8), (8, 8)], filled=100)
    for changed in ({"bridged": True}, {"fused": False}, {"wide": False}, {"alone": False}):
        assert least < bound([(8, 8), (8, 8)], **changed)


def test_stages_are_those_of_the_transform() -> None:
    assert stages([(4, 2), (8, 3)], bridged=False, fused=True) == [(4, 5.0), (8, 1.0), (64, 8.0), (192, 5.0)]
    assert [eta for _, eta in stages([(4, 2), (8,)], bridged=True, fused=True)] == [5.0, 4.0, 5.0]
    assert stage_error(8, turned=True, fused=False) == pytest.approx(7 + np.sqrt(5))
