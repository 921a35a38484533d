"""Equivariant maps: how many there are, by counting; that they commute; that shifts leave circulants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import aslinearoperator

from faltung import Convolution, symmetry
from faltung.errors import GeometryError, ProblemError
from faltung.symmetry import Representation, equivariant_basis
from faltung.symmetry.maps import solver
from faltung.symmetry.representations import dense, grid, lorentz, orthogonal, symmetric, translations

Array = np.ndarray[Any, Any]


def whole_group(*reps: Representation) -> list[tuple[Array, ...]]:
    """Multiply generators until nothing is new; every element in all representations at once."""
    generators = list(zip(*(r.matrices() for r in reps), strict=True))
    found = [tuple(np.eye(r.size) for r in reps)]
    for element in found:
        for generator in generators:
            made = tuple(g @ e for g, e in zip(generator, element, strict=True))
            if not any(all(np.allclose(a, b) for a, b in zip(made, known, strict=True)) for known in found):
                found.append(made)
                assert len(found) <= 1000
    return found


def counted(rep_in: Representation, rep_out: Representation) -> int:
    """Count the maps by characters: the mean of tr ρ_out(g) · tr ρ_in(g⁻¹)."""
    elements = whole_group(rep_in, rep_out)
    return round(float(np.mean([np.trace(b) * np.trace(np.linalg.inv(a)) for a, b in elements]).real))


def check(basis: symmetry.EquivariantBasis) -> None:
    """Every map commutes with every generator, and they are orthonormal."""
    flat = basis.matrices.reshape(basis.dimension, np.prod(basis.matrices.shape[1:], dtype=int))
    np.testing.assert_allclose(flat @ flat.conj().T, np.eye(basis.dimension), atol=1e-10)
    for a, b in zip(basis.rep_in.matrices(), basis.rep_out.matrices(), strict=True):
        assert np.abs(b @ basis.matrices - basis.matrices @ a).max(initial=0) < 1e-9
    assert basis.residual < 1e-8


FINITE = {
    "shifts of a ring": (translations(7), translations(7), 7),
    "shifts of a torus": (translations((3, 4)), translations((3, 4)), 12),
    "C4 on 3x3": (grid(symmetry.rotations90(), (3, 3)), None, 21),
    "D4 on 3x3": (grid(symmetry.dihedral(), (3, 3)), None, None),
    "D4 on 4x4": (grid(symmetry.dihedral(), (4, 4)), None, None),
    "flips of a line to invariants": (
        grid(symmetry.reflections(ndim=1), 5),
        grid(symmetry.reflections(ndim=1), 5).trivial(),
        3,
    ),
    "sets": (symmetric(5), symmetric(5), 2),
    "graphs to graphs": (symmetric(4) * symmetric(4), symmetric(4) * symmetric(4), 15),
    "graphs to sets": (symmetric(4) * symmetric(4), symmetric(4), 5),
    "sets and a number": (symmetric(4) + symmetric(4).trivial(), None, 5),
}


@pytest.mark.parametrize("written_out", [False, True])
@pytest.mark.parametrize("name", FINITE)
def test_finite_groups_are_counted_by_characters(name: str, written_out: bool) -> None:
    rep_in, rep_out, known = FINITE[name]
    rep_out = rep_in if rep_out is None else rep_out
    want = counted(rep_in, rep_out)
    assert known in (None, want)
    if written_out:
        rep_in, rep_out = (Representation(r.matrices()) for r in (rep_in, rep_out))
    basis = equivariant_basis(rep_in, rep_out)
    assert basis.dimension == want
    assert (basis.sharing is None) == written_out
    check(basis)


def test_orbits_and_null_spaces_are_the_same_maps() -> None:
    rep = grid(symmetry.dihedral(), (3, 3))
    shared, solved = equivariant_basis(rep), equivariant_basis(rep.matrices())
    w = np.random.default_rng(0).standard_normal((9, 9))
    elements = [a for (a,) in whole_group(rep)]
    mean = sum(np.linalg.inv(a) @ w @ a for a in elements) / len(elements)
    for basis in (shared, solved):
        np.testing.assert_allclose(basis.project(w), mean, atol=1e-12)
        np.testing.assert_allclose(basis.projector @ w.ravel(), mean.ravel(), atol=1e-12)
        c = np.random.default_rng(1).standard_normal(basis.dimension)
        np.testing.assert_allclose(basis.operator @ c, np.tensordot(c, basis.matrices, 1).ravel(), atol=1e-12)
        np.testing.assert_allclose(basis.operator.H @ w.ravel(), np.tensordot(basis.matrices, w, 2), atol=1e-12)


@pytest.mark.parametrize("shape", [(6,), (3, 4), (2, 3, 2)])
def test_translations_leave_exactly_the_circulants(shape: tuple[int, ...]) -> None:
    """Every convolution on the torus is such a map, and the kernels as large as the torus give all of them."""
    basis = equivariant_basis(translations(shape))
    size = int(np.prod(shape))
    kernels = np.eye(size).reshape(size, *shape)
    found = np.array([Convolution(k, boundary="wrap", flip=False).matrix(shape).toarray().ravel() for k in kernels])
    assert basis.dimension == size == np.linalg.matrix_rank(found)
    for one in found:
        np.testing.assert_allclose(basis.project(one.reshape(size, size)).ravel(), one, atol=1e-12)


V3, V4 = orthogonal(3), lorentz()
CONTINUOUS = {
    "SO(2) on the plane": (orthogonal(2), orthogonal(2), 2),
    "O(2) on the plane": (orthogonal(2, special=False), None, 1),
    "SO(3) on vectors": (V3, V3, 1),
    "SO(3), a product of vectors to a vector": (V3 * V3, V3, 1),
    "SO(3), a product of vectors to a number": (V3 * V3, V3.trivial(), 1),
    "O(3), a product of vectors to a vector": (
        orthogonal(3, special=False) * orthogonal(3, special=False),
        orthogonal(3, special=False),
        0,
    ),
    "SO(3) on matrices": (V3 * V3, V3 * V3, 3),
    "O(1,3) on vectors": (V4, V4, 1),
    "O(1,3), vectors to forms": (V4, V4.dual(), 1),
    "O(1,3) on matrices": (V4 * V4, V4 * V4, 3),
    "SO⁺(1,3) on matrices": (lorentz(proper=True) * lorentz(proper=True), None, 4),
    "SO(3) on vectors and numbers": (V3 + V3 + V3.trivial(2), None, 8),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_groups_have_their_invariant_tensors(name: str) -> None:
    """By the first fundamental theorem: products of δ, of η, and of ε for groups without reflections."""
    rep_in, rep_out, dimension = CONTINUOUS[name]
    basis = equivariant_basis(rep_in, rep_out)
    assert basis.dimension == dimension
    check(basis)


def test_the_product_of_vectors_that_turns_with_them_is_the_cross_product() -> None:
    basis = equivariant_basis(V3 * V3, V3)
    a, b = np.random.default_rng(0).standard_normal((2, 3))
    made = basis.matrices[0] @ np.outer(a, b).ravel()
    np.testing.assert_allclose(abs(made @ np.cross(a, b)), np.linalg.norm(made) * np.linalg.norm(np.cross(a, b)))


def test_large_systems_are_iterated() -> None:
    ring = translations(60)
    matrices = [aslinearoperator(m) for m in ring.matrices()]
    basis = equivariant_basis(matrices)
    assert basis.dimension == 60
    assert basis.gap is not None
    assert basis.gap[0] < 1e-12 < 1e-4 < basis.gap[1]
    check(basis)
    np.testing.assert_allclose(basis.project(np.eye(60)), np.eye(60), atol=1e-9)


def test_orbits_of_millions_of_entries() -> None:
    basis = equivariant_basis(translations((40, 40)))
    assert basis.dimension == 1600
    assert (np.bincount(basis.sharing.ravel()) == 1600).all()
    kernel = np.random.default_rng(0).standard_normal(1600)
    assert basis.combine(kernel).shape == (1600, 1600)
    with pytest.raises(GeometryError, match="4,096,000,000 entries; use sharing"):
        _ = basis.matrices


@settings(max_examples=30)
@given(st.integers(2, 5), st.integers(1, 4), st.integers(0, 2**32))
def test_any_finite_group_of_random_permutations(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rep_in = Representation([rng.permutation(n) for _ in range(2)])
    # The same group on pairs, on m copies, and changed by any basis.
    q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    other = Representation([q @ dense(g) @ q.T for g in rep_in.generators])
    rep_out = rep_in
    for _ in range(m - 1):
        rep_out = rep_out + rep_in
    assert equivariant_basis(rep_in, rep_out).dimension == counted(rep_in, rep_out)
    turned = equivariant_basis(rep_in, other)
    assert turned.dimension == counted(rep_in, rep_in)
    check(turned)


def test_complex_representations() -> None:
    wave = Representation([np.diag(np.exp(2j * np.pi * np.arange(5) / 5))])
    basis = equivariant_basis(translations(5), wave)
    assert basis.dimension == 5
    check(basis)
    # Each map is a row of the Fourier transform.
    np.testing.assert_allclose(np.abs(basis.matrices).max(axis=(1, 2)), 1 / np.sqrt(5))


@pytest.mark.parametrize("name", ["O(3)", "Lorentz", "turned", "complex", "nothing"])
def test_every_solver_finds_the_same_maps(name: str) -> None:
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0]
    turned = Representation([q @ dense(g) @ q.T for g in symmetric(12).generators])
    wave = Representation([np.diag(np.exp(2j * np.pi * np.arange(12) / 6))])
    rep_in, rep_out = {
        "O(3)": (orthogonal(3) * orthogonal(3), orthogonal(3) * orthogonal(3)),
        "Lorentz": (lorentz() * lorentz(), lorentz()  * lorentz()),
        "turned": (turned, turned),
        "complex": (translations(12), wave),
        "nothing": (orthogonal(3) * orthogonal(3), orthogonal(3)),
    }[name]  # fmt: skip
    constraint = solver.Constraint.of(rep_in, rep_out)
    size = constraint.shape[0] * constraint.shape[1]
    found = []
    for values, columns in (
        solver._decomposed(constraint), solver._reduced(constraint),
        solver._iterated(constraint, size),
    ):  # fmt: skip
        null = values <= 1e-12 * constraint.scale()
        found.append(columns(null))
    expected = found[0] @ found[0].conj().T
    for columns in found[1:]:
        np.testing.assert_allclose(columns @ columns.conj().T, expected, atol=1e-9)


def test_large_systems_are_small_in_eigenvectors() -> None:
    """There are 91 isotropic tensors of order 8 in space; a ring of 100 in any basis has 100 convolutions."""
    fourth = orthogonal(3, special=False) * orthogonal(3, special=False)
    basis = equivariant_basis(fourth * fourth)
    assert basis.dimension == 91
    check(basis)
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((100, 100)))[0]
    turned = equivariant_basis([q @ np.roll(np.eye(100), 1, 0) @ q.T])
    assert turned.dimension == 100
    check(turned)


def test_the_result_does_not_depend_on_chance() -> None:
    first, again = (equivariant_basis(lorentz() * lorentz()).matrices for _ in range(2))
    assert first.tobytes() == again.tobytes()


def test_pictures() -> None:
    pytest.importorskip("matplotlib")
    shared = equivariant_basis(translations(5)).show()
    texts = [text.get_text() for text in shared.axes[0].texts]
    assert texts.count("w[0]") == 5
    assert "5 outputs; 5 weights for 25 entries" in texts
    assert equivariant_basis(orthogonal(2)).show().axes
    with pytest.raises(GeometryError, match="at most 64"):
        equivariant_basis(translations(65)).show()
    with pytest.raises(GeometryError, match="at most 12 maps"):
        equivariant_basis(translations(13).matrices()).show()


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: equivariant_basis([[[1, 0]]]), GeometryError, r"generator 0 has the shape \(1, 2\), .* square"),
        (lambda: equivariant_basis([[[1, 0], [0, 0]]]), ProblemError, "generator 0 has no inverse"),
        (lambda: equivariant_basis([[0, 0, 1]]), ProblemError, "generator 0 is no permutation: .* each of 0 to 2 once"),
        (lambda: equivariant_basis([[0, 1], [0, 1, 2]]), GeometryError, "vectors of 2, 3 numbers"),
        (lambda: equivariant_basis([]), ProblemError, "at least one generator"),
        (
            lambda: equivariant_basis(symmetric(3), translations(3)),
            ProblemError,
            "2 generators and 0 .* in, 1 and 0 out",
        ),
        (lambda: symmetric(3) + translations(3), ProblemError, "different groups: 2 generators"),
        (lambda: grid(symmetry.rotations([30]), (3, 3)), ProblemError, "rotation 30°.* does not take the samples"),
        (lambda: grid(symmetry.rotations90(), (3, 4)), GeometryError, "3"),
        (lambda: grid(symmetry.rotations90(), 3), GeometryError, r"2 axes, but the shape \(3,\) has 1"),
        (lambda: equivariant_basis(symmetric(3)).combine([1]), GeometryError, r"shape \(1,\) for 2 maps"),
        (lambda: equivariant_basis(symmetric(3)).project(np.eye(2)), GeometryError, r"shape \(2, 2\), .* \(3, 3\)"),
        (lambda: Representation(infinitesimal=[[[np.nan]]]), ProblemError, "finite numbers"),
        (lambda: orthogonal(1), ProblemError, "from 2 on, not 1"),
    ],
)
def test_what_is_wrong_is_said(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
