"""The audit of functions: errors known beforehand, their causes, the action on the output, and refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import ndimage

from faltung import symmetry
from faltung.symmetry import equivariance

if TYPE_CHECKING:
    from faltung.symmetry.elements import Array

RNG = np.random.default_rng(5)
X = RNG.standard_normal((32, 32))
ISOTROPIC = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16


def blur(mode: str) -> Any:
    return lambda x: ndimage.correlate(x, np.arange(25.0).reshape(5, 5), mode=mode)


def strided(x: Array) -> Array:
    return ndimage.correlate(x, ISOTROPIC, mode="constant")[::2, ::2]


def pooled(x: Array) -> Array:
    m = [n // 2 for n in x.shape]
    return x[: 2 * m[0], : 2 * m[1]].reshape(m[0], 2, m[1], 2).max((1, 3))


def test_the_error_is_the_definitions() -> None:
    report = equivariance(strided, X, symmetry.rotations90())
    y = strided(X)
    for k, found in enumerate(report.per_element, 1):
        off = abs(strided(np.rot90(X, k)) - np.rot90(y, k))
        scale = max(abs(y).max(), abs(strided(np.rot90(X, k))).max())
        assert found.max == pytest.approx(off.max(), rel=1e-12)
        assert found.mean == pytest.approx(off.mean(), rel=1e-12)
        assert found.relative == pytest.approx(off.max() / scale, rel=1e-12)
        assert found.rms == pytest.approx(np.sqrt((off**2).mean() / (y**2).mean()), rel=1e-12)
        assert found.where == np.unravel_index(off.argmax(), off.shape)
        assert found.lattice + found.boundary + found.floor + found.rest == pytest.approx(found.relative)
    assert report.max_error == max(e.relative for e in report.per_element)
    np.testing.assert_allclose(report.error_map.max(), report.worst.max)


@pytest.mark.parametrize("size", [31, 32, 33])
def test_strided_convolution_wants_odd_sizes_and_pooling_even_ones(size: int) -> None:
    x = RNG.standard_normal((size, size))
    for f, exact, cure in ((strided, size % 2 == 1, size - 1), (pooled, size % 2 == 0, size - 1)):
        report = equivariance(f, x, symmetry.dihedral())
        assert report.decision.endswith("field on a grid of stride 2")
        if exact:
            assert report.max_error < 1e-14
            assert report.worst.cause == "exact"
            assert report.require(1e-12) is report
        else:
            assert report.max_error > 0.1
            assert report.worst.cause == "lattice"
            assert f"exact on size {cure} (tried), or use polyphase_pool" in report.verdict


def test_a_convolution_follows_shifts_as_far_as_its_boundary_does() -> None:
    report = equivariance(blur("wrap"), X, symmetry.shifts((1, 5)))
    assert report.max_error < 1e-14
    for mode in ("constant", "mirror", "nearest", "reflect"):
        report = equivariance(blur(mode), X, symmetry.shifts((1, 5)))
        assert report.max_error > 0.01
        assert {e.cause for e in report.per_element} == {"boundary"}
        # A 5x5 window sees beyond the edge from its two outermost samples, before and after the move.
        assert {e.reach for e in report.per_element} == {2}
        assert min(e.border_share or 0 for e in report.per_element) == 1
        assert "within 2 samples of an edge" in report.verdict
        cropped = equivariance(blur(mode), X, symmetry.shifts(beyond="crop"))
        assert cropped.worst.cause == "boundary"


def test_pooling_follows_multiples_of_its_stride_only() -> None:
    report = equivariance(pooled, X, symmetry.shifts(range(1, 5), ndim=2))
    for found in report.per_element:
        distance = int(found.name.strip("shift ()").replace(", 0", "").replace("0, ", ""))
        if distance % 2:
            assert found.relative > 0.1
            assert found.cause == "lattice"
            assert found.unmoved > 0.1
        else:
            assert found.relative == 0
            assert found.unmoved > 0.1
    assert "only shifts by multiples of 2; use polyphase_pool" in report.verdict


def test_pooling_of_stride_one_and_global_pooling() -> None:
    window = lambda x: ndimage.maximum_filter(x, 2, mode="wrap")  # noqa: E731
    report = equivariance(window, X, symmetry.shifts(range(1, 9)))
    assert report.max_error == 0
    assert min(e.unmoved for e in report.per_element) > 0.1
    invariant = lambda x: blur("wrap")(x).mean()  # noqa: E731
    report = equivariance(invariant, X, symmetry.shifts(range(1, 9)))
    assert report.max_error < 1e-12
    assert "no grid is left, so it is to stay (invariant)" in report.decision
    assert equivariance(lambda x: blur("mirror")(x).mean(), X, symmetry.shifts()).max_error > 1e-4


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [0, 3, 2, 1], [2, 0, 1, 3]])
@pytest.mark.parametrize("layout", ["separate", "group last", "group first"])
def test_channels_that_the_group_permutes_are_found(order: list[int], layout: str) -> None:
    kernels = RNG.standard_normal((2, 3, 3))

    def lift(x: Array) -> Array:
        maps = [[ndimage.correlate(x[0], np.rot90(k, r), mode="constant") for r in order] for k in kernels]
        y = np.array(maps)
        return {"separate": y, "group last": y.reshape(8, *x.shape[1:])}.get(
            layout, y.swapaxes(0, 1).reshape(8, *x.shape[1:])
        )

    report = equivariance(lift, X[None], symmetry.rotations90())
    assert report.max_error < 1e-14
    assert report.decision.endswith("channels permuted")
    plain = equivariance(lift, X[None], symmetry.rotations90(), "field")
    assert plain.max_error > 0.1
    assert "GroupConv" in plain.verdict


def test_regular_representations_can_be_given() -> None:
    kernel = RNG.standard_normal((3, 3))

    def lift(x: Array) -> Array:
        return np.array([ndimage.correlate(x[0], np.rot90(kernel, r), mode="constant") for r in range(4)])

    def on_group(y: Array) -> Array:
        # A group convolution: rotated kernels, over rotated channels.
        weights = np.random.default_rng(0).standard_normal((4, 3, 3))
        one = lambda r: sum(  # noqa: E731
            ndimage.correlate(y[(r + s) % 4], np.rot90(weights[s], r), mode="constant") for s in range(4)
        )
        return np.array([one(r) for r in range(4)])

    group = symmetry.rotations90()
    assert equivariance(lift, X[None], group, "regular").max_error < 1e-14
    y = lift(X[None])
    assert equivariance(on_group, y, group, "regular", input="regular").max_error < 1e-13
    assert equivariance(on_group, y, group, input="regular").max_error < 1e-13
    assert equivariance(on_group, y, group).max_error > 0.1
    pooled_ = equivariance(lambda y: on_group(y).max(0), y, group, input="regular")
    assert pooled_.max_error < 1e-13
    assert "field" in pooled_.decision
    votes = equivariance(lambda y: on_group(y).mean((1, 2)), y, group, input="regular")
    assert votes.max_error < 1e-12
    assert "permuted values" in votes.decision


def test_interpolation_has_a_floor() -> None:
    smooth = ndimage.gaussian_filter(RNG.standard_normal((64, 64)), 3)
    gaussian = lambda x: ndimage.gaussian_filter(x, 2, mode="constant")  # noqa: E731
    report = equivariance(gaussian, smooth, symmetry.rotations([30, 45]))
    floors = [e.floor for e in report.per_element]
    assert report.per_element[0].cause in ("floor", "boundary")
    assert all(0 < floor < 0.01 for floor in floors)
    edges = equivariance(lambda x: ndimage.sobel(x), smooth, symmetry.rotations([30, 45]))
    assert edges.worst.cause == "rest"
    assert edges.worst.rest > 10 * edges.worst.floor
    scaled = equivariance(lambda x: ndimage.gaussian_filter(x, 3), smooth, symmetry.scalings([0.5, 2]))
    assert scaled.worst.rest > 0.05
    assert "no cure on a grid" in scaled.verdict
    assert equivariance(lambda x: x, smooth, symmetry.rotations([30])).max_error == 0


def test_sub_pixel_shifts() -> None:
    assert equivariance(blur("wrap"), X, symmetry.shifts(0.25)).max_error < 1e-13
    assert equivariance(lambda x: np.maximum(x, 0), X, symmetry.shifts(0.25)).max_error > 0.01


def test_up_sampling_and_shrinking_grids_have_their_strides() -> None:
    up = lambda x: x.repeat(2, 0).repeat(2, 1)  # noqa: E731
    report = equivariance(up, X, symmetry.shifts((1, 3)))
    assert report.max_error == 0
    assert report.decision.endswith("stride 0.5")
    valid = lambda x: ndimage.correlate(x, np.ones((5, 5)))[2:-2, 2:-2]  # noqa: E731
    small = equivariance(valid, X[:8, :8], symmetry.shifts(1, beyond="crop"))
    assert small.decision.endswith("field")
    assert small.max_error < 1e-13
    assert equivariance(valid, X[:9, :9], symmetry.rotations90()).max_error < 1e-13


def test_actions_on_values() -> None:
    edges = equivariance(lambda x: ndimage.sobel(x), X, symmetry.offset(3.0))
    assert edges.max_error < 1e-14
    assert "values stay" in edges.decision
    mean = equivariance(lambda x: ndimage.uniform_filter(x, 3), X, symmetry.offset(3.0))
    assert mean.max_error < 1e-14
    assert "values stay" not in mean.decision
    assert equivariance(lambda x: np.maximum(x, 0), X, symmetry.gain(2.0)).max_error == 0
    saturating = equivariance(np.tanh, X, symmetry.gain(2.0))
    assert saturating.max_error > 0.1
    assert "not homogeneous" in saturating.verdict
    doubled = equivariance(lambda x: 2 * x, X, symmetry.offset(3.0))
    assert doubled.max_error > 0.1
    assert "sum to 1" in doubled.verdict


def test_given_pairs() -> None:
    n = 6
    x = RNG.standard_normal(n)
    roll = np.roll(np.eye(n), 1, 0)
    circulant = sum(c * np.linalg.matrix_power(roll, k) for k, c in enumerate((1.0, 2.0, -1.0)))
    assert equivariance(lambda x: circulant @ x, x, symmetry.pairs((roll, roll))).max_error < 1e-14
    fourier = np.diag(np.exp(-2j * np.pi * np.arange(n) / n))
    report = equivariance(np.fft.fft, x, symmetry.pairs((lambda x: np.roll(x, 1), fourier)))
    assert report.max_error < 1e-13
    wrong = equivariance(np.sort, x, symmetry.pairs((roll, roll), (roll, lambda y: y)))
    assert [e.cause for e in wrong.per_element] == ["rest", "exact"]
    given = equivariance(lambda x: x[:, ::-1], X, symmetry.shifts([(0, 1)]), lambda g, y: np.roll(y, -1, 1))
    assert given.max_error == 0
    assert equivariance(lambda x: x[:, ::-1], X, symmetry.shifts([(0, 1)])).max_error > 0.1


def test_axes_complex_values_and_integers() -> None:
    video = RNG.standard_normal((3, 8, 8, 5))
    f = lambda x: ndimage.uniform_filter(x, (1, 3, 3, 1), mode="wrap")  # noqa: E731
    assert equivariance(f, video, symmetry.rotations90(), axes=(1, 2)).max_error < 1e-14
    z = X + 1j * X[::-1]
    assert equivariance(lambda z: np.fft.ifft2(np.fft.fft2(z) * 2), z, symmetry.shifts()).max_error < 1e-14
    bytes_ = RNG.integers(0, 256, (16, 16), dtype=np.uint8)
    seen = []
    report = equivariance(lambda x: seen.append(x.dtype) or x // 2, bytes_, symmetry.dihedral())
    assert report.max_error == 0
    assert set(seen) == {np.dtype(np.uint8)}


def test_scalings_are_never_called_exact() -> None:
    report = equivariance(lambda x: x, X, symmetry.scalings())
    assert report.max_error == 0
    assert {e.cause for e in report.per_element} == {"floor"}


def test_elements_of_one_name_are_kept_apart() -> None:
    close = symmetry.shifts([0.1234567, 0.1234568], ndim=1)
    assert len({e.name for e in close.elements}) == 1
    found = equivariance(lambda x: x**2, X[0], close).per_element
    assert found[0].max != found[1].max


def test_invariance_under_interpolation_has_a_floor_too() -> None:
    smooth = ndimage.gaussian_filter(RNG.standard_normal((64, 64)), 3)
    centred = smooth * ndimage.gaussian_filter(np.pad([[1.0]], ((32, 31), (32, 31))), 8) / 1e-3
    report = equivariance(lambda x: (x**2).sum(), centred, symmetry.rotations([30]))
    assert report.worst.relative < 0.02
    assert report.worst.floor > 0
    across = equivariance(lambda x: (ndimage.sobel(x, 0) ** 2).sum(), centred, symmetry.rotations([60]))
    assert across.worst.rest > 10 * across.worst.floor
