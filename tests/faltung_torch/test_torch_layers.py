"""faltung.torch's layers: torch's answers and gradients in 1-D to 3-D, the definition's beyond, exact derivatives."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung
from faltung import definition
from faltung.errors import GeometryError

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402  after the check for torch

from faltung import torch as ft  # noqa: E402

RULES = ["zero", "constant:2", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric"]
MODES = {"zero": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}
CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def tensors(seed: int, *shapes: tuple[int, ...], dtype: Any = torch.float64) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def same(ours: Any, theirs: Any, leaves: list[Any], rtol: float) -> None:
    """Compare results and all gradients, relative to their largest entries."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    grad = torch.randn(ours.shape, generator=torch.Generator().manual_seed(9), dtype=ours.dtype)
    pairs = [(ours, theirs), *zip(*(torch.autograd.grad(y, leaves, grad) for y in (ours, theirs)), strict=True)]
    for a, b in pairs:
        assert (a - b).abs().max() <= rtol * b.detach().abs().max().clamp(min=1)


@st.composite
def problems(draw) -> Any:
    rank = draw(st.integers(1, 3))
    groups, ins, outs = (draw(st.sampled_from(some)) for some in ((1, 1, 2, 3), (1, 2, 5), (1, 2, 17)))
    window = [draw(st.integers(1, 4)) for _ in range(rank)]
    stride, dilation = ([draw(st.integers(1, 3)) for _ in range(rank)] for _ in range(2))
    rule = draw(st.sampled_from(sorted(MODES)))
    sizes = [draw(st.integers(1, 9 if rank < 3 else 6)) for _ in range(rank)]
    # As much padding as torch's rules allow.
    most = {"zero": [4] * rank, "edge": [4] * rank, "reflect": [n - 1 for n in sizes], "wrap": sizes}[rule]
    pads = [(draw(st.integers(0, min(m, 4))), draw(st.integers(0, min(m, 4)))) for m in most]
    sizes = [max(n, d * (k - 1) + 1 - sum(p)) for n, k, d, p in zip(sizes, window, dilation, pads, strict=True)]
    batch = draw(st.sampled_from([(), (1,), (2,)]))
    shapes = [(*batch, groups * ins, *sizes), (groups * outs, ins, *window), (groups * outs,)]
    return shapes, stride, pads, dilation, groups, rule, draw(st.sampled_from([torch.float32, torch.float64]))


@settings(max_examples=40, deadline=None)
@given(problems(), st.booleans(), st.booleans())
def test_layers_and_gradients_equal_torchs(problem, biased, last) -> None:
    shapes, stride, pads, dilation, groups, rule, dtype = problem
    x, weight, bias = tensors(0, *shapes, dtype=dtype)
    leaves, bias = ([x, weight, bias], bias) if biased else ([x, weight], None)
    # channels_last, and a weight that lies across its memory.
    given_x = x.movedim(-1, 0).contiguous().movedim(0, -1) if last else x
    given_w = weight.transpose(0, 1).contiguous().transpose(0, 1) if last else weight
    ours = ft.conv(given_x, given_w, bias, stride, pads, dilation, groups, rule)
    padded = functional.pad(x, [p for pair in reversed(pads) for p in pair], MODES[rule])
    theirs = CONV[len(stride)](padded, weight, bias, stride, 0, dilation, groups)
    same(ours, theirs, leaves, 2e-5 if dtype == torch.float32 else 1e-13)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_transposed_layers_and_gradients_equal_torchs(data) -> None:
    rank = data.draw(st.integers(1, 3))
    groups, ins, outs = (data.draw(st.sampled_from([1, 2, 5])) for _ in range(3))
    window, stride, dilation = ([data.draw(st.integers(1, 3)) for _ in range(rank)] for _ in range(3))
    extra = [data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)]
    sizes = [data.draw(st.integers(1, 5)) for _ in range(rank)]
    full = [
        (n - 1) * s + d * (k - 1) + 1 + e for n, s, d, k, e in zip(sizes, stride, dilation, window, extra, strict=True)
    ]
    pads = [data.draw(st.integers(0, min(3, (f - 1) // 2))) for f in full]
    x, weight, bias = tensors(1, (2, groups * ins, *sizes), (groups * ins, outs, *window), (groups * outs,))
    asked = (x, weight, bias, stride, pads, extra, groups, dilation)
    same(ft.conv_transpose(*asked), TRANSPOSED[rank](*asked), [x, weight, bias], 1e-13)


def test_named_and_asymmetric_padding() -> None:
    x, weight = tensors(2, (1, 2, 10), (3, 2, 4))
    # torch's "same": the odd sample at the end.
    theirs = functional.conv1d(functional.pad(x, (1, 2)), weight)
    same(ft.conv(x, weight, padding="same:torch"), theirs, [x, weight], 1e-13)
    # TensorFlow: ceil(10 / 3) outputs, of which the last begins at 9 less the padding; 3 samples in all, 1 before.
    theirs = functional.conv1d(functional.pad(x, (1, 2)), weight, stride=3)
    same(ft.conv(x, weight, stride=3, padding="same:tf"), theirs, [x, weight], 1e-13)
    same(ft.conv(x, weight, padding="valid"), functional.conv1d(x, weight), [x, weight], 1e-13)


@pytest.mark.parametrize(("rank", "rule"), [(4, rule) for rule in RULES] + [(5, "zero"), (5, "reflect")])
def test_four_and_five_axes_equal_the_definition(rank, rule) -> None:
    rng = np.random.default_rng(rank)
    x = rng.integers(-5, 5, (1, 4, *[3] * rank)).astype(float)
    weight = rng.integers(-5, 5, (4, 2, *[2] * rank)).astype(float)
    pads = [(1, 0), (0, 2), *[(1, 1)] * (rank - 2)]
    asked = {"stride": 2, "dilation": 1, "padding": pads, "boundary": rule}
    want = np.array(
        [[sum(definition.correlate(x[0, o // 2 * 2 + c], weight[o, c], **asked) for c in range(2)) for o in range(4)]]
    )
    tx, tw = torch.tensor(x, requires_grad=True), torch.tensor(weight, requires_grad=True)
    y = ft.conv(tx, tw, groups=2, **asked)
    np.testing.assert_array_equal(y.detach().numpy(), want.astype(float))
    # The gradients of <grad, y> are what makes it linear: by Euler, of what is homogeneous.
    grad = torch.tensor(rng.integers(-5, 5, y.shape).astype(float))
    gx, gw = torch.autograd.grad(y, (tx, tw), grad)
    assert torch.sum(gw * tw) == torch.sum(grad * y)
    moved = ft.conv(torch.zeros_like(tx), tw, groups=2, **asked)  # of constants alone
    assert torch.sum(gx * tx) == torch.sum(grad * (y - moved))


def test_more_batch_axes_none_and_no_images() -> None:
    x, weight, bias = tensors(3, (2, 3, 4, 7, 7), (5, 4, 3, 3), (5,))
    y = ft.conv(x, weight, bias)
    torch.testing.assert_close(y, functional.conv2d(x.flatten(0, 1), weight, bias).unflatten(0, (2, 3)))
    torch.testing.assert_close(ft.conv(x[0, 0], weight, bias), y[0, 0])
    empty = x[0, :0].detach().requires_grad_()
    y = ft.conv(empty, weight, bias)
    assert y.shape == (0, 5, 5, 5)
    gx, gw, gb = torch.autograd.grad(y.sum(), (empty, weight, bias))
    assert (gx.shape, float(gw.abs().sum()), float(gb.abs().sum())) == (empty.shape, 0.0, 0.0)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # by torch's own forward derivatives
@pytest.mark.parametrize("rule", RULES)
def test_gradients_to_second_order_are_those_of_differences(rule) -> None:
    x, weight, bias = tensors(4, (2, 2, 4, 3), (4, 1, 2, 2), (4,))
    asked = ([2, 1], [(2, 1), (0, 1)], [1, 2], 2, rule)
    assert torch.autograd.gradcheck(lambda *t: ft.conv(*t, *asked), (x, weight, bias), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda *t: ft.conv(*t, *asked), (x, weight, bias), fast_mode=True)
    if rule != "constant:2":
        y, weight = tensors(5, (1, 2, 2, 3), (2, 1, 3, 2))
        asked = (2, 1, 1, 2, 1, rule)
        assert torch.autograd.gradcheck(
            lambda *t: ft.conv_transpose(*t, bias[:2], *asked), (y, weight), check_forward_ad=True
        )
        assert torch.autograd.gradgradcheck(lambda *t: ft.conv_transpose(*t, None, *asked), (y, weight), fast_mode=True)


def test_room_for_outputs_that_are_not_there() -> None:
    """An output padding beyond the stride, allowed below the dilation, through two derivatives."""
    y, weight = tensors(6, (1, 1, 3), (1, 2, 2))
    asked = (None, 1, 0, 2, 1, 3)
    same(ft.conv_transpose(y, weight, *asked), functional.conv_transpose1d(y, weight, *asked), [y, weight], 1e-14)
    assert torch.autograd.gradgradcheck(lambda *t: ft.conv_transpose(*t, *asked), (y, weight))


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_halves_are_summed_in_f32_and_rounded_once(half) -> None:
    x, weight, bias = (t.detach().to(half) for t in tensors(7, (2, 8, 9, 9), (4, 8, 3, 3), (4,)))
    wide = [t.float().requires_grad_() for t in (x, weight, bias)]
    narrow = [t.requires_grad_() for t in (x, weight, bias)]
    want, y = functional.conv2d(*wide, padding=1), ft.conv(*narrow, padding=1)
    grad = torch.ones_like(y)
    pairs = [
        (want, y),
        *zip(torch.autograd.grad(want, wide, grad.float()), torch.autograd.grad(y, narrow, grad), strict=True),
    ]
    for exact, rounded in pairs:
        assert rounded.dtype == half
        # Half a unit in the last place, and what sums in f32 may differ by.
        assert ((rounded.float() - exact).abs() <= torch.finfo(half).eps / 2 * exact.abs() * 1.001 + 1e-4).all()


def test_threads_never_change_bits_and_are_torchs() -> None:
    x, weight = tensors(8, (2, 24, 30, 31), (40, 24, 3, 3), dtype=torch.float32)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            y = ft.conv(x, weight, padding=1)
            results.append([y, *torch.autograd.grad(y, (x, weight), torch.ones_like(y))])
    finally:
        torch.set_num_threads(before)
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


def test_the_number_of_threads_is_torchs(monkeypatch) -> None:
    from faltung.torch import compute

    asked = []
    run = compute.run_layer
    monkeypatch.setattr(compute, "run_layer", lambda *args: asked.append(args[3]) or run(*args))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    ft.conv(torch.ones(1, 5), torch.ones(1, 1, 3))
    assert asked == [7]


def test_cpu_tensors_are_read_where_they_lie() -> None:
    from faltung.torch import compute

    for x in (torch.randn(2, 3, 4), torch.randn(4, 3, 2).permute(2, 1, 0), torch.nn.Parameter(torch.randn(3))):
        assert compute.array(x).__array_interface__["data"][0] == x.data_ptr()


BAD = [
    (lambda: ft.conv(torch.ones(1, 5, 9), torch.ones(4, 2, 3), groups=2), "has 5 channels .* takes 2 x 2 = 4"),
    (lambda: ft.conv(torch.ones(1, 4, 9), torch.ones(3, 2, 3), groups=2), "groups=2 does not divide the first 3"),
    (lambda: ft.conv(torch.ones(1, 1, 2), torch.ones(1, 1, 4)), r"spans 4 .* 0 \+ 2 \+ 0 = 2; pad by 2"),
    (lambda: ft.conv(torch.ones(1, 5), torch.ones(3)), r"weight is \(C_out, C_in/groups, \*window\)"),
    (lambda: ft.conv(torch.ones(1, 5), torch.ones(1, 1, 3), torch.ones(2)), r"bias has the shape \(2,\), .* 1 output"),
    (lambda: ft.conv_transpose(torch.ones(1, 5), torch.ones(1, 1, 3), torch.ones(2)), r"bias has the shape \(2,\), .* 1 output"),
    (lambda: ft.conv(torch.ones(1, 5), torch.ones(1, 1, 3).double()), "input is torch.float32, the weight torch.float64"),
    (lambda: ft.conv(torch.ones(1, 5), torch.ones(1, 1, 3), torch.ones(1).half()), "the bias torch.float16"),
    (lambda: ft.conv(torch.ones(1, 5, dtype=int), torch.ones(1, 1, 3, dtype=int)), "one floating dtype"),
    (lambda: ft.conv(torch.ones(1, 5), torch.ones(1, 1, 3), boundary=object()), "names of rules"),
    (lambda: ft.conv(torch.ones(1, 5), torch.ones(1, 1, 3), boundary="mirror"), "mirror"),
    (lambda: ft.conv(torch.ones(1, 5), torch.ones(1, 1, 3), padding="same"), "'same:torch'"),
    (lambda: ft.conv_transpose(torch.ones(1, 5, 9), torch.ones(4, 2, 3)), "has 5 channels"),
    (lambda: ft.conv_transpose(torch.ones(1, 3), torch.ones(1, 1, 3), output_padding=1), "less than the stride 1"),
    (lambda: ft.conv_transpose(torch.ones(1, 2), torch.ones(1, 1, 2), padding=2), "removes all 3 outputs"),
    (lambda: ft.conv_transpose(torch.ones(1, 9), torch.ones(1, 1, 3), boundary="constant:2", padding=1), "affine"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD)
def test_bad_input(call, text) -> None:
    from faltung.errors import FaltungError

    with pytest.raises(FaltungError, match=text):
        call()


def test_options_may_be_arrays_and_numbers_of_numpy() -> None:
    x, weight = tensors(9, (1, 2, 9, 8), (3, 2, 2, 2))
    want = ft.conv(x, weight, None, (2, 1), [(1, 0), (1, 0)], 1, 1, [("edge", "wrap"), ("wrap", ("constant", 2))])
    got = ft.conv(
        x, weight, None, np.array([2, 1]), np.array([[1, 0], [1, 0]]), np.int64(1), np.int64(1),
        [("edge", "wrap"), ("wrap", "constant:2")],
    )  # fmt: skip
    assert torch.equal(want, got)


@pytest.mark.parametrize(("groups", "rule"), list(product((1, 3), ("zero", "antireflect"))))
def test_layers_without_axes(groups, rule) -> None:
    """A weight without a window is a (grouped) linear layer."""
    x, weight, bias = tensors(10, (4, 6), (3, 6 // groups), (3,))
    theirs = torch.cat([
        torch.nn.functional.linear(a, w) for a, w in zip(x.chunk(groups, 1), weight.chunk(groups), strict=True)
    ], 1) + bias  # fmt: skip
    same(ft.conv(x, weight, bias, groups=groups, boundary=rule), theirs, [x, weight, bias], 1e-13)


def test_a_wrong_call_leaves_no_trace() -> None:
    """2.0 equals 2 and True equals 1, also as keys of caches."""
    x, weight = torch.randn(1, 4, 6, 6), torch.randn(2, 4, 3, 3)
    for name, wrong, right in (("stride", 2.0, 2), ("padding", True, 1), ("dilation", 1.0, 1)):
        for call in (ft.conv, lambda x, w, **asked: faltung.correlate(x[0, 0].numpy(), w[0, 0].numpy(), **asked)):
            with pytest.raises(GeometryError, match=name):
                call(x, weight, **{name: wrong})
            call(x, weight, **{name: right})


def test_empty_batches() -> None:
    for module in (
        ft.Conv(3, 4, 3), ft.ConvTranspose(3, 4, 3), ft.Pool(2), ft.Pool(2, kind="mean"), ft.Pool(2, return_indices=True),
        ft.Pool(2, kind="median"), ft.BlurPool(3), ft.PolyphasePool(2), ft.LocallyConnected(3, 4, 3, (8, 8)),
    ):  # fmt: skip
        y = module(torch.zeros(0, 3, 8, 8, requires_grad=True))
        assert len(y[0] if isinstance(y, tuple) else y) == 0


@pytest.mark.parametrize(
    ("size", "text"),
    [
        ((14,), "has 1 numbers; give 2"), ((9, 14, 14), "has 3 numbers; give 2"),
        ((20, 14), r"\(20, 14\) is out of reach: this input becomes \(13, 13\) to \(14, 14\)"), ((12, 14), "out of reach"),
    ],
)  # fmt: skip
def test_output_sizes_within_reach(size, text) -> None:
    layer, x = ft.ConvTranspose(4, 2, 3, stride=2), torch.randn(1, 4, 6, 6)
    for right in ((13, 14), (1, 2, 13, 14)):
        assert layer(x, output_size=right).shape[2:] == (13, 14)
    assert layer(x, output_size=(13, 13)).shape[2:] == (13, 13)
    with pytest.raises(GeometryError, match=text):
        layer(x, output_size=size)
