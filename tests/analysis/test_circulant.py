"""Structure, singular values, inverse, norm and its bound: against dense linear algebra on matrices written out."""

import numpy as np
import pytest

from faltung import Convolution
from faltung.analysis.circulant import inverse, singular_values
from faltung.analysis.matrix import matrix
from faltung.analysis.norm import norm, norm_bound
from faltung.analysis.structure import structure
from faltung.errors import GeometryError, PlanError

RULES = ("zero", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric")
RNG = np.random.default_rng(7)
CIRCULANT = [
    (Convolution(RNG.standard_normal(5), boundary="wrap"), 12),
    (Convolution(RNG.standard_normal((5, 4)), boundary="wrap", axes=(2, 0)), (13, 3, 4)),
    (Convolution(RNG.standard_normal((3, 9)) + 1j, boundary="wrap", flip=False, dilation=2, anchor=(0, 3)), (6, 5)),
    (Convolution(list(RNG.standard_normal((3, 2, 4))), boundary="wrap"), (7, 6)),
    (Convolution(RNG.standard_normal((6, 2, 3, 3)), boundary="wrap", channels=True, groups=2), (2, 4, 5, 4)),
    (Convolution(RNG.standard_normal((3, 3, 2)), boundary="wrap", channels=True), (3, 8)),
    (Convolution(RNG.standard_normal((1, 3)), boundary=["edge", "wrap"]), (3, 8)),
]


@pytest.mark.parametrize(("c", "shape"), CIRCULANT, ids=str)
def test_circulant_singular_values_are_the_dense_ones(c, shape) -> None:
    A = matrix(c, shape).toarray()
    want = np.linalg.svd(A, compute_uv=False)
    got = singular_values(c, shape)
    assert structure(c, shape).is_circulant
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= 1e-12 * want[0]
    assert abs(norm(c, shape) - want[0]) <= 1e-12 * want[0]
    assert norm_bound(c, shape) >= want[0] * (1 - 1e-14)


def test_other_singular_values_come_from_the_matrix() -> None:
    c = Convolution([1.0, 2.0], stride=2)
    assert singular_values(c, 6) == pytest.approx([np.sqrt(5)] * 3)
    with pytest.raises(PlanError, match=r"8192 x 16384 .* 16777216 entries. Use boundary='wrap'"):
        singular_values(c, 16384)


@pytest.mark.parametrize(("c", "shape"), [case for case in CIRCULANT if len(case[0].kernels) in (1, 3)], ids=str)
def test_the_inverse_is_a_convolution(c, shape) -> None:
    if c.filters is not None:
        return
    A = matrix(c, shape).toarray()
    np.testing.assert_allclose(
        matrix(inverse(c, shape), shape).toarray(), np.linalg.inv(A), atol=1e-12 * np.linalg.cond(A)
    )
    x = RNG.standard_normal(shape)
    np.testing.assert_allclose(inverse(c, shape)(c(x)), x, atol=1e-12 * np.linalg.cond(A))


def test_empty_arrays_and_scalars() -> None:
    assert singular_values(Convolution([1.0, 2.0], boundary="wrap"), 0).shape == (0,)
    assert norm(Convolution([1.0, 2.0]), 0) == norm_bound(Convolution([1.0, 2.0]), 0) == 0
    assert singular_values(Convolution(np.array(-3.0), axes=()), (2, 2)).tolist() == [3] * 4
    assert inverse(Convolution(np.array(4.0), axes=()), (2, 2)).kernel == 0.25
    with pytest.raises(GeometryError, match="only a circular convolution"):
        inverse(Convolution([np.ones(1)], boundary="wrap"), 4)


def test_singular_operators_are_refused_with_their_smallest_singular_value() -> None:
    with pytest.raises(
        PlanError, match=r"singular: its smallest singular value is .*, its largest 2; .*regularisation"
    ):
        inverse(Convolution([1.0, 1.0], boundary="wrap"), 6)
    with pytest.raises(GeometryError, match=r"(?s)only a circular convolution .*Toeplitz 6 x 6.*use boundary='wrap'"):
        inverse(Convolution([1.0, 3.0], boundary="zero"), 6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("mode", ["same", "full", "valid"])
def test_norms(rule, mode, monkeypatch) -> None:
    c = Convolution(RNG.standard_normal((5, 4)), boundary=rule, mode=mode, axes=(2, 0), stride=(1, 2))
    want = np.linalg.norm(matrix(c, (13, 3, 6)).toarray(), 2)
    assert norm(c, (13, 3, 6)) == pytest.approx(want, rel=1e-12)
    monkeypatch.setattr("faltung.analysis.norm.DENSE_ENTRIES", 0)
    assert norm(c, (13, 3, 6)) == pytest.approx(want, rel=1e-9)
    assert want <= norm_bound(c, (13, 3, 6)) * (1 + 1e-14)


def test_folding_exceeds_the_sum_of_weights_and_the_bound_knows() -> None:
    c = Convolution([1.0, 1.0, 1.0], mode="full", boundary="edge")
    assert norm(c, 1) == pytest.approx(3 * np.sqrt(3))
    assert norm_bound(c, 1) >= norm(c, 1) > 3
    assert norm_bound(Convolution([1.0, -2.0], boundary="zero"), 9) == 3


KINDS = {
    ("zero", "same", 1): "Toeplitz",
    ("zero", "full", 1): "Toeplitz",
    ("edge", "valid", 1): "Toeplitz",
    ("wrap", "same", 1): "circulant",
    ("wrap", "full", 1): "Toeplitz",
    ("wrap", "same", 2): "strided circulant",
    ("zero", "same", 2): "strided Toeplitz",
    ("symmetric", "same", 1): "folded Toeplitz",
    ("edge", "same", 3): "strided folded Toeplitz",
}


@pytest.mark.parametrize(("rule", "mode", "stride"), KINDS)
def test_kinds_are_what_the_matrix_shows(rule, mode, stride) -> None:
    c = Convolution([1.0, 2.0, 4.0, 8.0], boundary=rule, mode=mode, stride=stride)
    level = structure(c, 12).levels[0]
    A = matrix(c, 12).toarray()
    assert (level.kind, level.rows, level.columns) == (KINDS[rule, mode, stride], *A.shape)
    i, j = np.indices(A.shape)
    constant = all(len(set(A[j - stride * i == d])) == 1 for d in set((j - stride * i).ravel()))
    periodic = all(len(set(A[(j - stride * i) % 12 == d])) == 1 for d in range(12))
    assert constant == ("folded" not in level.kind)
    if not periodic:
        assert "circulant" not in level.kind
        assert "periodic" not in level.remark
    if "folded" in level.kind:
        lo, hi = c.geometry((12,))[1][0].interior
        T = matrix(c.like(c.kernel, boundary="zero"), 12).toarray()
        assert np.array_equal(A[lo:hi], T[lo:hi])


def test_levels_print_as_blocks_within_blocks() -> None:
    layer = Convolution(np.ones((4, 1, 3)), channels=True, groups=2, boundary="symmetric")
    assert repr(structure(layer, (5, 2, 9))) == (
        "matrix 180 x 90\n"
        "  axis 0: identity 5 x 5, batch: block diagonal\n"
        "    axis 1: channels 4 x 2, block diagonal, 2 groups\n"
        "      axis 2: folded Toeplitz 9 x 9, band of 3, folded by symmetric in 2 rows"
    )
    bank = structure(Convolution([[1.0, 2.0], [3.0, 4.0]], axes=None), (4, 4))
    assert [level.kind for level in bank.levels] == ["folded Toeplitz"] * 2
    assert not bank.is_toeplitz
    assert structure(Convolution(list(np.ones((2, 3))), mode="valid"), 8).is_toeplitz
