"""Layers: sums over the channels of a group, written out with the definition, and torch's where it has them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung as ft
from faltung import definition
from layouts import LAYOUTS, lay_out

RULES = ["zero", "constant:2", "edge", "reflect", "symmetric", "wrap", "antireflect"]


def written_out(x, weight, groups, flip, **asked):
    """y[n, o] = Σ_c x[n, c] ⋆ w[o, c], over the channels of o's group."""
    rank, outputs, size = weight.ndim - 2, len(weight), weight.shape[1]
    images = x.reshape(-1, *x.shape[x.ndim - rank - 1 :])
    # The definition's correlation conjugates its kernel, a layer does not.
    apply = definition.convolve if flip else lambda a, k, **o: definition.correlate(a, np.conj(k), **o)
    maps = [
        [
            sum(apply(image[o // (outputs // groups) * size + c], weight[o, c], **asked) for c in range(size))
            for o in range(outputs)
        ]
        for image in images
    ]
    result = np.array(maps)
    return result.reshape(*x.shape[: x.ndim - rank - 1], *result.shape[1:])


@pytest.mark.parametrize("outputs", [1, 16])
@pytest.mark.parametrize("window", [(1, 1), (3, 1)])
def test_a_column_of_a_larger_image(outputs: int, window: tuple[int, int]) -> None:
    """An axis of one sample may have any strides, and the one before it then is no contiguous line."""
    rng = np.random.default_rng(0)
    x, weight = rng.integers(-9, 9, (2, 3, 9, 12)).astype("f4"), rng.integers(-9, 9, (outputs, 3, *window)).astype("f4")
    column = x[..., 7:8]
    got = ft.Convolution(weight, flip=False, channels=True, boundary="zero")(column)
    np.testing.assert_array_equal(got, written_out(column, weight, 1, False, boundary="zero"))


@pytest.mark.parametrize("outputs", [1, 16])
def test_batch_axes_that_cannot_be_one(outputs: int) -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.integers(-9, 9, (2, 3, 4, 9, 7)).astype("f4"), rng.integers(-9, 9, (outputs, 4, 3, 3)).astype("f4")
    x = np.ascontiguousarray(x.transpose(2, 1, 3, 0, 4)).transpose(3, 1, 0, 2, 4)
    got = ft.Convolution(weight, flip=False, channels=True, boundary="zero")(x)
    np.testing.assert_array_equal(got, written_out(x, weight, 1, False, boundary="zero"))


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_any_layer_equals_the_definition(data) -> None:
    rank = data.draw(st.integers(1, 4))
    groups, size = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    # From 8 on they fill lanes of their own; 33 need several blocks of lanes, the last nearly empty.
    per = data.draw(st.sampled_from([1, 2, 3, 8, 16, 33]))
    sizes = [data.draw(st.integers(1, 9 if rank < 3 else 4)) for _ in range(rank)]
    window = [data.draw(st.integers(1, 3)) for _ in range(rank)]
    batch = data.draw(st.sampled_from([(), (1,), (2,), (2, 2)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    dtype = data.draw(st.sampled_from(["f4", "f8", "i2", "u1", "c8"]))
    kernel_dtype = data.draw(st.sampled_from(["f4", "i2", "c8"]))
    x = rng.integers(-9 if dtype != "u1" else 0, 9, (*batch, groups * size, *sizes)).astype(dtype)
    weight = rng.integers(-9, 9, (groups * per, size, *window)).astype(kernel_dtype)
    if dtype == "c8":
        x = x + 1j * rng.integers(-9, 9, x.shape).astype("f4")
    if kernel_dtype == "c8":
        weight = weight * (1 + 2j)
    flip = data.draw(st.booleans())
    asked = {
        "boundary": data.draw(st.sampled_from(RULES)),
        "stride": data.draw(st.integers(1, 2)),
        "dilation": data.draw(st.integers(1, 2)),
        "mode": data.draw(st.sampled_from(["same", "full"])),
    }
    layer = ft.Convolution(weight, flip=flip, channels=True, groups=groups, **asked)
    x = lay_out(x, data.draw(st.sampled_from([name for name in LAYOUTS if name != "broadcast"])), rng)
    got, want = layer(x), written_out(x, weight, groups, flip, **asked)
    assert got.shape == want.shape == layer.output_shape(x.shape)
    # Small whole numbers: every sum is exact, in any precision.
    np.testing.assert_array_equal(got, want.astype(got.dtype))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("channels", "outputs", "groups"), [(3, 8, 1), (4, 8, 4), (6, 6, 6), (8, 4, 2)])
def test_it_equals_torch(rank, channels, outputs, groups) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(rank)
    x = rng.standard_normal((2, channels, *(13, 12, 11)[:rank])).astype(np.float32)
    weight = rng.standard_normal((outputs, channels // groups, *(3, 4, 2)[:rank])).astype(np.float32)
    options = {"stride": 2, "padding": (1,) * rank, "dilation": 2}
    got = ft.Convolution(weight, flip=False, channels=True, groups=groups, boundary="zero", **options)(x)
    conv = getattr(torch.nn.functional, f"conv{rank}d")
    want = conv(torch.tensor(x), torch.tensor(weight), groups=groups, **options).numpy()
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_it_prints_and_pickles() -> None:
    import pickle

    layer = ft.Convolution(np.ones((4, 3, 5, 5), np.float32), flip=False, channels=True, groups=2)
    assert repr(layer).startswith(
        "<Convolution 6 -> 4 channels, 5x5 float32, groups=2: y[o, j] = Σ x[c, j + l] k[o, c, l]"
    )
    again = pickle.loads(pickle.dumps(layer))
    x = np.random.default_rng(0).standard_normal((6, 9, 9)).astype(np.float32)
    np.testing.assert_array_equal(again(x), layer(x))
    assert "1 images, 2 groups of 2 output channels" in layer.plan((6, 9, 9)).explain()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ft.Convolution(np.ones(3), channels=True), r"kernel is \(C_out, C_in/groups, \*window\).*\(3,\)"),
        (lambda: ft.Convolution(np.ones((4, 3, 5)), channels=True, groups=3), "groups=3 does not divide the 4 output"),
        (lambda: ft.Convolution(np.ones((4, 3, 5)), channels=True, groups=0), "groups=0 does not divide"),
        (lambda: ft.Convolution(np.ones((4, 3, 5)), channels=True, axes=0), "leave axes out"),
        (lambda: ft.Convolution(np.ones(3), groups=2), "groups=2 needs channels=True"),
        (
            lambda: ft.Convolution(np.ones((4, 3, 5)), channels=True, groups=2)(np.ones((2, 5, 9))),
            r"has 5 channels on axis 1, but the kernel \(4, 3, ...\) with groups=2 takes 3 x 2 = 6",
        ),
        (lambda: ft.Convolution(np.ones((4, 3, 5)), channels=True)(np.ones(9)), r"with 1 sizes, but was given the shape"),
        (lambda: ft.Convolution(np.ones((4, 3, 5)), channels=True)(np.ones((3, 9)), nan="ignore"), "a layer has none"),
    ],
)  # fmt: skip
def test_refusals_name_both_numbers(make, text) -> None:
    with pytest.raises(ft.errors.GeometryError, match=text):
        make()
