"""faltung.nn: layers against sums written out with the definition, gradients against their own definitions."""

import pickle
import sys
import threading
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf, expit, ndtr

from faltung import Convolution, definition, nn
from faltung.errors import BoundaryError, DtypeError, FaltungError, GeometryError

RULES = ["zero", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric"]


def written_out(x, weight, groups, **asked):
    """y[n, o] = Σ_c x[n, c] ⋆ w[o, c], over the channels of o's group."""
    outputs, size = weight.shape[:2]
    maps = [
        [
            sum(
                definition.correlate(image[o // (outputs // groups) * size + c], weight[o, c], **asked)
                for c in range(size)
            )
            for o in range(outputs)
        ]
        for image in x
    ]
    return np.array(maps)


def spread_out(x, weight, stride, low, dilation, groups, sizes):
    """Let every sample add its kernel to the outputs, and drop what falls beyond the edges."""
    inputs, outputs = weight.shape[0], weight.shape[1] * groups
    result = np.zeros((len(x), outputs, *sizes), np.longdouble)
    per = inputs // groups
    for n, c in np.ndindex(x.shape[:2]):
        for place in np.ndindex(*x.shape[2:]):
            for o, *tap in np.ndindex(*weight.shape[1:]):
                at = [s * i + d * t - p for s, i, d, t, p in zip(stride, place, dilation, tap, low, strict=True)]
                if all(0 <= a < size for a, size in zip(at, sizes, strict=True)):
                    o_all = c // per * weight.shape[1] + o
                    result[(n, o_all, *at)] += np.longdouble(x[(n, c, *place)]) * weight[(c, o, *tap)]
    return result


@st.composite
def layers(draw):
    rank = draw(st.integers(1, 5))
    most = 8 if rank < 3 else 4 if rank < 5 else 3
    groups, size, per = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.sampled_from([1, 2, 17]))
    window = [draw(st.integers(1, 3)) for _ in range(rank)]
    dilation = [draw(st.integers(1, 2)) for _ in range(rank)]
    pads = [(draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in range(rank)]
    sizes = [
        max(draw(st.integers(1, most)), d * (k - 1) + 1 - sum(p))
        for k, d, p in zip(window, dilation, pads, strict=True)
    ]
    stride = [draw(st.integers(1, 3)) for _ in range(rank)]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.integers(-9, 9, (draw(st.integers(1, 2)), groups * size, *sizes))
    weight = rng.integers(-9, 9, (groups * (per if rank < 3 else min(per, 2)), size, *window))
    dtype = draw(st.sampled_from(["f4", "f8", "i2"]))
    return x.astype(dtype), weight.astype(dtype), groups, stride, dilation, pads, draw(st.sampled_from(RULES))


@settings(max_examples=60, deadline=None)
@given(layers())
def test_a_layer_and_its_gradients_equal_the_definition(layer) -> None:
    x, weight, groups, stride, dilation, pads, rule = layer
    y = nn.conv(x, weight, None, stride, pads, dilation, groups, rule)
    want = written_out(x, weight, groups, stride=stride, dilation=dilation, padding=pads, boundary=rule)
    # Small whole numbers: every sum is exact, in any precision.
    np.testing.assert_array_equal(y, want.astype(float))
    # Both gradients are what makes the layer's linear forms: <grad, L(dx)> = <gx, dx> for every unit dx, and for weights.
    grad = np.random.default_rng(1).integers(-5, 5, y.shape).astype(x.dtype)
    rest = (stride, pads, dilation, groups, rule)
    gx, gw = nn.conv_input_gradient(grad, weight, x.shape, *rest), nn.conv_weight_gradient(grad, x, weight.shape, *rest)
    assert (gx.shape, gw.shape) == (x.shape, weight.shape)
    total = int(np.sum(grad.astype(np.int64) * y.astype(np.int64)))
    assert int(np.sum(gx.astype(np.int64) * x.astype(np.int64))) == total
    assert int(np.sum(gw.astype(np.int64) * weight.astype(np.int64))) == total
    other = np.random.default_rng(2).integers(-5, 5, x.shape).astype(x.dtype)
    moved = written_out(other, weight, groups, stride=stride, dilation=dilation, padding=pads, boundary=rule)
    assert int(np.sum(gx.astype(np.int64) * other.astype(np.int64))) == int(
        np.sum(grad.astype(np.int64) * moved.astype(np.int64))
    )


@pytest.mark.parametrize(("rule", "stride", "dilation", "groups"), list(product(RULES, (1, 2, 3), (1, 2), (1, 2))))
def test_the_adjoint_holds_to_its_bound(rule, stride, dilation, groups) -> None:
    rng = np.random.default_rng(stride)
    x, weight = rng.standard_normal((2, 4, 11, 9)), rng.standard_normal((6, 4 // groups, 3, 2))
    rest = (stride, [(3, 1), (0, 4)], dilation, groups, rule)
    y = nn.conv(x, weight, None, *rest)
    grad = rng.standard_normal(y.shape)
    back = nn.conv_input_gradient(grad, weight, x.shape, *rest)
    # Odd rules read three samples for one beyond the edge; each side is a sum of at most 24·9 products.
    scale = np.sum(np.abs(grad) * nn.conv(np.abs(x), np.abs(weight), None, *rest[:4], rule.replace("anti", "")))
    assert abs(np.sum(grad * y) - np.sum(back * x)) <= 9 * 1000 * 2.0**-53 * scale


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_transposed_layer_spreads_every_sample(data) -> None:
    rank = data.draw(st.integers(1, 3))
    groups, ins, outs = (data.draw(st.integers(1, 2)) for _ in range(3))
    window, sizes = ([data.draw(st.integers(1, n)) for _ in range(rank)] for n in (4, 4))
    stride, dilation = ([data.draw(st.integers(1, 3)) for _ in range(rank)] for _ in range(2))
    extra = [data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)]
    full = [
        (n - 1) * s + d * (k - 1) + 1 + e for n, s, d, k, e in zip(sizes, stride, dilation, window, extra, strict=True)
    ]
    low = [data.draw(st.integers(0, min(3, (f - 1) // 2))) for f in full]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.integers(-9, 9, (2, groups * ins, *sizes)).astype("f4")
    weight = rng.integers(-9, 9, (groups * ins, outs, *window)).astype("f4")
    y = nn.conv_transpose(x, weight, None, stride, low, extra, groups, dilation)
    want = spread_out(x, weight, stride, low, dilation, groups, [f - 2 * p for f, p in zip(full, low, strict=True)])
    assert y.shape == want.shape
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("rule", ["edge", "reflect", "wrap"])
def test_a_transposed_layer_folds_what_another_boundary_would_have_read(rule) -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((1, 3, 5)), rng.standard_normal((3, 2, 4))
    y = nn.conv_transpose(x, weight, None, 2, 2, boundary=rule)
    z = rng.standard_normal(y.shape)
    back = written_out(z, weight, 1, stride=2, padding=[(2, 2)], boundary=rule)
    assert float(np.sum(y * z)) == pytest.approx(float(np.sum(x * back)), rel=1e-12)


def test_weights_change_from_call_to_call() -> None:
    rng = np.random.default_rng(0)
    for groups, outputs in ((1, 40), (2, 6), (4, 4)):
        x = rng.standard_normal((1, 4, 9, 8)).astype(np.float32)
        for _ in range(3):
            weight = rng.standard_normal((outputs, 4 // groups, 3, 3)).astype(np.float32)
            want = written_out(x, weight, groups, padding=[(1, 1), (1, 1)], boundary="zero").astype(float)
            np.testing.assert_allclose(nn.conv(x, weight, padding=1, groups=groups), want, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_layouts_never_change_bits(threads) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 24, 30, 31)).astype(np.float32)
    weight = rng.standard_normal((40, 24, 3, 3)).astype(np.float32)
    y = nn.conv(x, weight, padding=1, stride=2, threads=1)
    grad = rng.standard_normal(y.shape).astype(np.float32)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(nn.conv(last, np.asfortranarray(weight), padding=1, stride=2, threads=threads), y)
    gx = nn.conv_input_gradient(grad, weight, x.shape, 2, 1, threads=1)
    np.testing.assert_array_equal(nn.conv_input_gradient(grad, weight, x.shape, 2, 1, threads=threads), gx)


def test_half_floats_are_summed_in_f32() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((1, 8, 12)).astype(np.float16), rng.standard_normal((4, 8, 3)).astype(np.float16)
    y = nn.conv(x, weight, padding=1)
    want = written_out(x, weight, 1, padding=[(1, 1)], boundary="zero").astype(float)
    assert y.dtype == np.float16
    assert np.abs(y - want).max() <= 2.0**-11 * np.abs(want).max() * 1.01


def test_named_padding() -> None:
    x = np.arange(10.0).reshape(1, 10)
    weight = np.ones((1, 1, 4))
    # torch pads 1 before and 2 after four taps; TensorFlow needs 4 samples of padding less 10 % 3 for a stride of 3.
    np.testing.assert_array_equal(nn.conv(x, weight, padding="same:torch"), nn.conv(x, weight, padding=[(1, 2)]))
    np.testing.assert_array_equal(
        nn.conv(x, weight, padding="same:tf", stride=3), nn.conv(x, weight, padding=[(1, 2)], stride=3)
    )
    assert nn.conv(x, weight, padding="valid").shape == (1, 7)
    with pytest.raises(GeometryError, match="needs stride 1, not 2; 'same:tf'"):
        nn.conv(x, weight, padding="same:torch", stride=2)
    with pytest.raises(GeometryError, match="unknown padding 'same'; the rules are 'valid', 'same:torch', 'same:tf'"):
        nn.conv(x, weight, padding="same")


def test_bias_and_activation() -> None:
    x, weight = np.linspace(-4, 4, 9).reshape(1, 9), np.array([[[1.0]], [[2.0]]])
    z = np.array([x[0] + 1, 2 * x[0] - 1])
    want = {
        "relu": np.where(z > 0, z, 0), "leaky_relu": np.where(z > 0, z, 0.01 * z), "relu6": np.minimum(np.maximum(z, 0), 6),
        "silu": z / (1 + np.exp(-z)), "gelu": z * (1 + erf(z / np.sqrt(2))) / 2,
    }  # fmt: skip
    for name, expected in want.items():
        np.testing.assert_allclose(nn.conv(x, weight, [1, -1], activation=name), expected, atol=1e-15)


APPLIED = {
    None: lambda z: z, "relu": lambda z: np.maximum(z, 0), "relu6": lambda z: np.clip(z, 0, 6),
    "leaky_relu": lambda z: np.where(z < 0, z * z.dtype.type(0.01), z),
}  # fmt: skip


@pytest.mark.parametrize("activation", APPLIED)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize(("groups", "per"), [(1, 16), (2, 8), (1, 37), (3, 3), (4, 1)])
def test_bias_and_activation_follow_the_sums_whatever_the_method(dtype, groups, per, activation) -> None:
    """Dense layers do both before they store a sum; every bit is that of doing them afterwards, and NaN stays NaN."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 2 * groups, 9, 11)), rng.standard_normal((groups * per, 2, 3, 3))
    x[0, 0, 4, 5] = np.nan
    x, weight = x.astype(dtype), weight.astype(dtype)
    bias = rng.standard_normal(groups * per).astype(dtype)
    sums = nn.conv(x, weight, groups=groups, padding=1)
    for one in (bias, None, rng.standard_normal(sums.shape[1:]).astype(dtype)):
        got = nn.conv(x, weight, one, groups=groups, padding=1, activation=activation)
        with np.errstate(invalid="ignore"):
            z = sums if one is None else sums + (one.reshape(-1, 1, 1) if one.ndim == 1 else one)
            want = APPLIED[activation](z)
        np.testing.assert_array_equal(got, want)
        assert got.dtype == sums.dtype


@pytest.mark.parametrize("activation", ["silu", "gelu"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize(("groups", "per"), [(1, 32), (2, 8), (3, 3), (4, 1)])
def test_smooth_activations_follow_the_sums_whatever_the_method(dtype, groups, per, activation) -> None:
    """Within 3 roundings of the sum, from the far tails through 0, before or after it is stored."""
    rng = np.random.default_rng(0)
    z = np.concatenate([np.linspace(-30, 30, 301), rng.standard_normal(300) * 10.0 ** rng.uniform(-6, 3, 300)])
    x = np.zeros((1, 8 * groups, z.size), dtype)
    x[0, ::8] = z
    x[0, 0, :4] = [np.nan, np.inf, -np.inf, 0]
    weight, bias = np.zeros((groups * per, 8, 1), dtype), rng.standard_normal(groups * per).astype(dtype)
    weight[:, 0] = 1
    for one in (None, bias):
        with np.errstate(invalid="ignore"):
            got = nn.conv(x, weight, one, groups=groups, activation=activation)
            sums = nn.conv(x, weight, one, groups=groups).astype(float)
            share = expit(sums) if activation == "silu" else ndtr(sums)
            want = sums * share
            error = np.abs(got - want) / np.maximum(np.abs(sums), np.finfo(dtype).tiny)
        known = np.isfinite(want)
        assert error[known].max() <= 3 * np.finfo(dtype).eps
        np.testing.assert_array_equal(got[~known], want[~known])
        assert (~known).sum() >= 3 * per


def test_a_locally_connected_layer_has_weights_of_its_own() -> None:
    rng = np.random.default_rng(0)
    x, grad = rng.standard_normal((2, 4, 6, 5)), rng.standard_normal((2, 6, 3, 5))
    weight = rng.standard_normal((6, 2, 3, 5, 3, 2))
    asked = {"stride": (2, 1), "padding": [(1, 1), (1, 0)], "groups": 2, "boundary": "reflect"}
    y = nn.locally_connected(x, weight, **asked)
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 0)], mode="reflect")
    want = np.zeros(y.shape)
    for n, o, i, j in np.ndindex(y.shape):
        window = padded[n, o // 3 * 2 : o // 3 * 2 + 2, 2 * i : 2 * i + 3, j : j + 2]
        want[n, o, i, j] = np.sum(window * weight[o, :, i, j])
    np.testing.assert_allclose(y, want, atol=1e-13)
    gx, gw = nn.locally_connected_gradients(grad, x, weight, **asked)
    assert np.sum(gx * x) == pytest.approx(np.sum(grad * want), rel=1e-12)
    assert np.sum(gw * weight) == pytest.approx(np.sum(grad * want), rel=1e-12)
    assert (gx.shape, gw.shape) == (x.shape, weight.shape)
    # Equal weights everywhere are a convolution.
    shared = rng.standard_normal((6, 2, 3, 2))
    everywhere = np.broadcast_to(shared[:, :, None, None], weight.shape)
    np.testing.assert_allclose(nn.locally_connected(x, everywhere, **asked), nn.conv(x, shared, **asked), atol=1e-13)


BAD = [
    (lambda: nn.conv(np.ones((1, 5, 9)), np.ones((4, 2, 3)), groups=2), GeometryError, "has 5 channels .* takes 2 x 2 = 4"),
    (lambda: nn.conv(np.ones((1, 4, 9)), np.ones((3, 2, 3)), groups=2), GeometryError, "groups=2 does not divide the first 3"),
    (lambda: nn.conv(np.ones((1, 1, 2)), np.ones((1, 1, 4)), padding=0), GeometryError, "spans 4 .* 0 \\+ 2 \\+ 0 = 2; pad by 2"),
    (lambda: nn.conv(np.ones((1, 5)), np.ones(3)), GeometryError, "weight is \\(C_out, C_in/groups, \\*window\\)"),
    (lambda: nn.conv(np.ones((1, 5)), np.ones((1, 1, 3)), bias=[1, 2]), GeometryError, "bias has the shape \\(2,\\), .* 1 output"),
    (lambda: nn.conv(np.ones((1, 5)), np.ones((1, 1, 3)), activation="tanh"), GeometryError, "unknown activation 'tanh'; there are"),
    (lambda: nn.conv(np.ones((1, 5), int), np.ones((1, 1, 3), int), activation="gelu"), DtypeError, "convert the input to float"),
    (lambda: nn.conv(np.ones((1, 5), int), np.ones((1, 1, 3), int), bias=[0.5]), DtypeError, "bias is float64, .* int64"),
    (lambda: nn.conv_transpose(np.ones((1, 3)), np.ones((1, 1, 3)), output_padding=1), GeometryError, "must be less than the stride 1"),
    (lambda: nn.conv_transpose(np.ones((1, 2)), np.ones((1, 1, 2)), padding=2), GeometryError, "removes all 3 outputs"),
    (lambda: nn.conv_transpose(np.ones((1, 2)), np.ones((1, 1, 2)), padding="same:tf"), GeometryError, "give numbers"),
    (lambda: nn.conv_input_gradient(np.ones((1, 4)), np.ones((1, 1, 3)), (1, 9)), GeometryError, "grad has the shape \\(1, 4\\), .* \\(1, 7\\)"),
    (lambda: nn.conv_input_gradient(np.ones((1, 9)), np.ones((1, 1, 3)), (1, 9), padding=1, boundary="constant:2"), BoundaryError, "affine"),
    (lambda: nn.conv_weight_gradient(np.ones((1, 4)), np.ones((1, 9)), (1, 1, 3)), GeometryError, "grad has the shape"),
    (lambda: nn.locally_connected(np.ones((1, 4)), np.ones((1, 1, 4, 3))), GeometryError, "is for \\(4,\\) outputs, .* gives \\(2,\\)"),
    (lambda: nn.locally_connected(np.ones((1, 4)), np.ones((1, 1, 3))), GeometryError, "as many outs as window sizes"),
    (lambda: nn.locally_connected(np.ones((1, 4), int), np.ones((1, 1, 2, 3))), DtypeError, "floating point"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input(call, error, text) -> None:
    with pytest.raises(error, match=text) as caught:
        call()
    assert isinstance(caught.value, FaltungError)


def test_four_axes_and_many_channels() -> None:
    """Against NumPy's windows and matrix products, in float64."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 8, *(12,) * 4)).astype("f4")
    weight, grad = rng.standard_normal((16, 8, *(3,) * 4)).astype("f4"), rng.standard_normal((2, 16, *(12,) * 4))
    axes = (2, 3, 4, 5)

    def windows(a: np.ndarray) -> np.ndarray:
        wide = np.pad(a.astype(float), [(0, 0), (0, 0), *[(1, 1)] * 4])
        return np.lib.stride_tricks.sliding_window_view(wide, (3,) * 4, axes)

    seen, taps = windows(x), (6, 7, 8, 9)
    want = np.moveaxis(np.tensordot(seen, weight.astype(float), ((1, *taps), (1, 2, 3, 4, 5))), -1, 1)
    np.testing.assert_allclose(nn.conv(x, weight, padding=1), want, atol=2e-4)
    grad = grad.astype("f4")
    by_weight = np.tensordot(grad.astype(float), seen, ((0, *axes), (0, *axes)))
    np.testing.assert_allclose(nn.conv_weight_gradient(grad, x, weight.shape, padding=1), by_weight, atol=5e-3)
    turned = np.flip(weight.astype(float), axes)
    by_input = np.moveaxis(np.tensordot(windows(grad), turned, ((1, *taps), (0, 2, 3, 4, 5))), -1, 1)
    np.testing.assert_allclose(nn.conv_input_gradient(grad, weight, x.shape, padding=1), by_input, atol=4e-4)


def test_threads_with_weights_of_their_own_share_a_plan_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 16, 12, 12)).astype("f4")
    weights = [rng.standard_normal((32, 16, 3, 3)).astype("f4") for _ in range(4)]
    want = [nn.conv(x, weight, padding=1, threads=1) for weight in weights]
    wrong = []

    def work(i: int) -> None:
        wrong.extend(i for _ in range(200) if (nn.conv(x, weights[i], padding=1, threads=1) != want[i]).any())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


def test_a_plan_given_weights_leaves_its_pickled_copies_alone() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((1, 4, 9, 9)), rng.standard_normal((2, 16, 4, 3, 3))
    plan = Convolution(weight[0], channels=True, flip=False).plan(x.shape, x.dtype)
    before = plan(x)
    moved = pickle.loads(pickle.dumps(plan))
    other = plan.with_weights(weight[1][None])
    assert other is not moved
    assert (other(x) != before).any()
    np.testing.assert_array_equal(moved(x), before)
    np.testing.assert_array_equal(plan(x), before)
