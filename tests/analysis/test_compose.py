"""A composition equals one call after the other, exactly, wherever it is claimed; elsewhere it says why not."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faltung import Convolution
from faltung.analysis.chain import Chain
from faltung.analysis.compose import compose
from faltung.analysis.matrix import matrix
from faltung.errors import BoundaryError, GeometryError, ProblemError

RULES = ("zero", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric")
seen: Counter[str] = Counter()


@st.composite
def steps(draw, ndim: int, rule: str) -> Convolution:
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    kernel = rng.integers(-4, 5, [draw(st.integers(1, 3)) for _ in range(ndim)])
    if draw(st.booleans()):
        for axis in range(ndim):
            kernel = kernel + np.flip(kernel, axis)
    own = st.sampled_from([rule, rule, rule, *RULES])
    options = {
        "flip": draw(st.booleans()),
        "stride": tuple(draw(st.sampled_from([1, 1, 1, 2])) for _ in range(ndim)),
        "dilation": tuple(draw(st.sampled_from([1, 1, 2])) for _ in range(ndim)),
        "boundary": [draw(own) for _ in range(ndim)],
    }
    mode = draw(st.sampled_from(["same", "same", "full", "valid", "padding", "anchor"]))
    if mode == "padding":
        options["padding"] = tuple((draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in range(ndim))
    elif mode == "anchor":
        options["anchor"] = tuple(draw(st.integers(0, k - 1)) for k in kernel.shape)
    else:
        options["mode"] = mode
    return Convolution(kernel, **options)


@settings(max_examples=300)
@given(st.data())
def test_any_two_steps(data) -> None:
    ndim, rule = data.draw(st.integers(1, 2)), data.draw(st.sampled_from(RULES))
    first, second = data.draw(steps(ndim, rule)), data.draw(steps(ndim, rule))
    x = np.random.default_rng(0).integers(-9, 10, [data.draw(st.integers(1, 11)) for _ in range(ndim)])
    both = compose(second, first)
    try:
        want = second(first(x))
    except ProblemError:
        return
    got = both(x)
    assert got.shape == want.shape
    assert np.array_equal(got, want)
    seen[type(both).__name__] += 1


def test_both_answers_were_given() -> None:
    if not seen:
        pytest.skip("runs after test_any_two_steps")
    assert min(seen["Convolution"], seen["Chain"]) >= 20


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("rule", "mode"),
    [("zero", "full"), ("wrap", "same"), ("symmetric", "same"), ("reflect", "same"), ("antireflect", "same")],
)
def test_what_composes(rule, mode, stride) -> None:
    """The first is even and centred, the second anything, also wider than the array."""
    rng = np.random.default_rng(8)
    half = rng.integers(-5, 6, (3, 2))
    even = np.concatenate([half, half[1::-1]])
    even = np.concatenate([even, even[:, :1]], axis=1)
    first = Convolution(even, mode=mode, boundary=rule)
    second = Convolution(rng.integers(-5, 6, (2, 9)), boundary=rule, stride=stride, anchor=(0, 8), flip=False)
    both = compose(second, first)
    assert isinstance(both, Convolution)
    assert both.boundary == rule
    for shape in [(7, 6), (1, 4), (2, 1)]:
        x = rng.integers(-9, 10, shape)
        assert np.array_equal(both(x), second(first(x)))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("bank", [False, True])
def test_complex_filters_and_banks(flip, bank) -> None:
    rng = np.random.default_rng(1)
    one, *many = (rng.integers(-5, 6, (3, 2)) + 1j * rng.integers(-5, 6, (3, 2)) for _ in range(4))
    first = Convolution(one, flip=flip, boundary="wrap", axes=(2, 0))
    second = Convolution(many if bank else many[0], flip=not flip, boundary="wrap", axes=(2, 0), stride=2)
    both = compose(second, first)
    x = rng.integers(-5, 6, (5, 2, 6)) + 2j
    assert isinstance(both, Convolution)
    assert np.array_equal(both(x), second(first(x)))


@pytest.mark.parametrize(("groups", "stride"), [((1, 1), 1), ((2, 2), 1), ((4, 2), 2), ((2, 1), 1), ((1, 4), 2)])
def test_layers(groups, stride) -> None:
    rng = np.random.default_rng(2)
    first = Convolution(rng.integers(-5, 6, (8, 4 // groups[0], 3)), channels=True, groups=groups[0], boundary="wrap")
    second = Convolution(
        rng.integers(-5, 6, (4, 8 // groups[1], 2)), channels=True, groups=groups[1], stride=stride, boundary="wrap"
    )
    both = compose(second, first)
    x = rng.integers(-5, 6, (2, 4, 9))
    assert isinstance(both, Convolution)
    assert both.groups == np.gcd(*groups)
    assert np.array_equal(both(x), second(first(x)))


def test_modes_keep_their_names() -> None:
    one = Convolution([1, 2, 3], mode="full")
    assert (compose(one, one).mode, compose(one, one).padding) == ("full", None)
    valid = Convolution([1, 2, 3], mode="valid")
    assert compose(valid, valid).mode == "valid"
    same = compose(Convolution([1, 2, 3], boundary="wrap"), Convolution([1, 2], boundary="wrap"))
    assert (same.mode, same.boundary, same.window) == ("same", "wrap", (4,))


def test_strides_multiply() -> None:
    both = compose(Convolution([1, 1, 1], stride=3, mode="valid"), Convolution([1, -1], stride=2, mode="valid"))
    assert (both.stride, both.dilation, both.kernel.tolist()) == ((6,), (1,), [1, -1] * 3)


REASONS = [
    ({"boundary": "zero"}, {"boundary": "zero"}, r"on axis 0 the first cuts off outputs .* mode='full'"),
    ({"boundary": "edge"}, {"boundary": "edge"}, "what the second finds outside by edge is not what the first"),
    ({"boundary": "wrap"}, {"boundary": "edge"}, "reads outside by edge what the first extended by wrap"),
    ({"boundary": "wrap", "stride": 2}, {"boundary": "wrap"}, "keeps every 2. sample"),
    ({"boundary": "wrap", "mode": "full"}, {"boundary": "wrap"}, "changes the size of the torus"),
    ({"boundary": "symmetric"}, {"boundary": "symmetric"}, "the kernel of the first is not even"),
    ({"axes": 0}, {"axes": 1}, r"filters axes=\(0,\) .* the second axes=\(1,\)"),
]


@pytest.mark.parametrize(("one", "two", "reason"), REASONS)
def test_reasons(one, two, reason) -> None:
    first, second = Convolution([1, 2, 3], **one), Convolution([1, 2, 1], **two)
    chain = compose(second, first)
    assert isinstance(chain, Chain)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(chain.reason)
    assert chain.reason in repr(chain)


def test_a_chain_behaves_like_its_steps() -> None:
    rng = np.random.default_rng(4)
    a, b, c = (Convolution(rng.integers(-4, 5, 3), boundary="edge", stride=s) for s in (1, 2, 1))
    chain = compose(c, compose(b, a))
    x = rng.integers(-9, 10, 11)
    assert [*chain] == [a, b, c]
    assert np.array_equal(chain(x), c(b(a(x))))
    assert chain.output_shape(11) == chain(x).shape
    A = chain.matrix(11)
    assert np.array_equal(A @ x, chain(x))
    y = rng.integers(-9, 10, 6)
    assert np.array_equal(chain.adjoint(y, 11), A.T @ y)
    point = Convolution([2])
    assert len([*(chain @ point)]) == 3
    assert np.array_equal((chain @ point)(x), chain(2 * x))


def test_wrap_composes_as_matrices_do() -> None:
    rng = np.random.default_rng(5)
    all_steps = [Convolution(rng.integers(-4, 5, (3, 2)), boundary="wrap", dilation=(1, d)) for d in (1, 2, 3)]
    total, product = all_steps[0], matrix(all_steps[0], (6, 7))
    for _, step in pairwise(all_steps):
        total, product = compose(step, total), matrix(step, (6, 7)) @ product
    assert (matrix(total, (6, 7)) != product).nnz == 0


def test_what_is_refused() -> None:
    with pytest.raises(BoundaryError, match="axis 0 is extended by constant:2, so the operation is affine"):
        compose(Convolution([1, 2], boundary="constant:2"), Convolution([1]))
    with pytest.raises(GeometryError, match="the first layer gives 2 channels, but the second takes 3"):
        compose(Convolution(np.ones((1, 3, 2)), channels=True), Convolution(np.ones((2, 3, 2)), channels=True))
    large = Convolution(np.array([2**40, 1]), mode="full")
    assert "int64" in compose(large, large).reason
    bank = Convolution([np.ones(2), np.ones(2)], mode="full")
    assert "bank" in compose(Convolution(np.ones(2)), bank).reason
    assert "layer" in compose(Convolution(np.ones((1, 1, 2)), channels=True), Convolution([1])).reason
