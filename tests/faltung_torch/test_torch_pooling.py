"""faltung.torch's pooling: torch's values and gradients where it has them, the definition of each window elsewhere."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from faltung import antialias
from faltung.errors import BoundaryError, DtypeError, FaltungError
from pooling_cases import cases

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402  after the check for torch

import faltung  # noqa: E402
from faltung import torch as ft  # noqa: E402

MAX = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
MEAN = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
EVEN = ["zero", "edge", "reflect", "symmetric", "wrap"]


def gradients(y, x, seed=0):
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed), dtype=y.dtype)
    return torch.autograd.grad(y, x, grad)[0], grad


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_max_mean_and_lp_are_torchs(data) -> None:
    rank = data.draw(st.integers(1, 3))
    window, stride, dilation = ([data.draw(st.integers(1, 3)) for _ in range(rank)] for _ in range(3))
    ceil, count = data.draw(st.booleans()), data.draw(st.booleans())
    sizes = [data.draw(st.integers(d * (k - 1) + 1, 9)) for k, d in zip(window, dilation, strict=True)]
    pads = [data.draw(st.integers(0, k // 2)) for k in window]
    x = torch.randn(2, 3, *sizes, dtype=torch.float64, requires_grad=True)
    lead = data.draw(st.sampled_from([(), (0,)]))
    x_in = x[lead]
    ours = ft.Pool(window, stride, pads, dilation, ceil_mode=ceil)(x_in)
    theirs = MAX[rank](x_in, window, stride, pads, dilation, ceil)
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(gradients(ours, x)[0], gradients(theirs, x)[0])
    ours = ft.Pool(window, stride, pads, ceil_mode=ceil, kind="mean", count_padding=count)(x_in)
    theirs = MEAN[rank](x_in, window, stride, pads, ceil, count)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, x)[0], gradients(theirs, x)[0])
    if rank == 2:
        ours, theirs = (
            ft.Pool(window, stride, kind="lp", p=3)(x_in),
            functional.lp_pool2d(x_in.abs(), 3, window, stride),
        )
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(gradients(ours, x)[0], gradients(theirs, x)[0])


RULES = (None, None, "zero", "constant:2", "edge", "reflect", "symmetric", "wrap")


@settings(max_examples=60, deadline=None)
@given(cases(dtypes=("f8",), rules=RULES))
def test_every_pooling_is_its_definition(case) -> None:
    want, chosen = case.definition()
    assume(want is not None and want.size)
    assume(case.kind != "lp" or "constant:2" not in case.rules)
    p = case.pooling()
    module = ft.Pool(
        p.window, p.stride, p.padding, p.dilation, kind=p.kind, axes=p.axes, boundary=p.boundary, ceil_mode=p.ceil_mode,
        count_padding=p.count_padding, p=p.p,
    )  # fmt: skip
    x = torch.tensor(np.array(case.x, "=f8"), requires_grad=True)
    y = module(x)
    np.testing.assert_allclose(y.detach().numpy(), want.astype(float), rtol=1e-12, atol=1e-12)
    assert torch.equal(module(x.detach()), y)
    found, grad = gradients(y, x)
    if case.kind in ("max", "min", "median"):
        exact = np.zeros(x.numel())
        inside = chosen >= 0
        np.add.at(exact, chosen[inside], grad.numpy()[inside])
        np.testing.assert_allclose(found.numpy(), exact.reshape(x.shape), rtol=1e-12, atol=1e-12)
        values, indices = ft.Pool(
            p.window, p.stride, p.padding, p.dilation, True, p.ceil_mode, kind=p.kind, axes=p.axes, boundary=p.boundary
        )(x)
        assert torch.equal(values, y)
        np.testing.assert_array_equal(indices.numpy(), case.in_pooled_axes(chosen))
    else:
        exact = faltung.pooling.pool_gradient(grad.numpy(), case.x, p)
        np.testing.assert_allclose(found.numpy(), exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rule", [None, *EVEN, "constant:2", "antireflect", "antisymmetric"])
@pytest.mark.parametrize("kind", ["max", "median", "mean", "sum", "lp"])
def test_gradients_to_second_order_are_those_of_differences(kind, rule) -> None:
    odd = rule is not None and rule.startswith("anti")
    if (odd and kind in ("max", "median", "lp")) or (kind == "lp" and rule == "constant:2"):
        with pytest.raises(BoundaryError):
            ft.Pool(3, kind=kind, boundary=rule)
        return
    x = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(1))
    pool = ft.Pool((3, 2), (2, 1), [(1, 1), (0, 1)], kind=kind, boundary=rule, ceil_mode=True)
    assert torch.autograd.gradcheck(pool, x)
    assert torch.autograd.gradgradcheck(pool, x, fast_mode=True)


def test_a_norm_has_no_slope_at_zero() -> None:
    x = torch.tensor([[0.0, 0, 3, -4]], requires_grad=True)
    for p, want in ((2, [0, 0, 0.6, -0.8]), (float("inf"), [0, 0, 0, -1])):
        y = ft.pool(x, 2, "lp", p=p)
        assert torch.equal(torch.autograd.grad(y.sum(), x)[0], torch.tensor([want]))
    for value in (float("nan"), 0.0):
        assert str(ft.pool(torch.tensor([[value, 0.0]]), 2, "lp", p=0.5).item()) == str(value)
    x = torch.tensor([[0.0, 4]], requires_grad=True)
    assert torch.autograd.grad(ft.pool(x, 2, "lp", p=0.5).sum(), x)[0].tolist() == [[0, 1]]


def test_indices_lead_back() -> None:
    x = torch.randn(2, 3, 8, 6)
    values, indices = ft.Pool(2, return_indices=True)(x)
    assert torch.equal(indices, functional.max_pool2d(x, 2, return_indices=True)[1])
    back = functional.max_unpool2d(values, indices, 2)
    np.testing.assert_array_equal(back.numpy(), faltung.pooling.unpool(values.numpy(), indices.numpy(), (8, 6)))


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["max", "mean", "lp"])
def test_halves_and_layouts(kind, half) -> None:
    x = torch.randn(2, 3, 8, 6).to(half).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = ft.Pool(2, kind=kind)(x)
    want = ft.Pool(2, kind=kind)(x.detach().float().contiguous())
    assert y.dtype == half
    assert torch.equal(y, want.to(half))
    assert torch.autograd.grad(y.float().sum(), x)[0].dtype == half


def test_integers_have_a_largest_but_no_mean() -> None:
    x = torch.arange(12).reshape(1, 3, 4)
    assert torch.equal(ft.Pool((3, 2))(x), torch.tensor([[[9, 11]]]))
    with pytest.raises(DtypeError, match="convert the input"):
        ft.Pool(2, kind="mean")(x)


@pytest.mark.parametrize(("window", "stride"), list(itertools.product([1, 2, 3, 4, 5], [1, 2, 3])))
def test_blur_pool_is_numpys(window, stride) -> None:
    for rank in (1, 2, 3):
        x = torch.randn(2, 3, *[7] * rank, dtype=torch.float64, requires_grad=True)
        y = ft.BlurPool(window, stride, ndim=rank)(x)
        axes = tuple(range(-rank, 0))
        np.testing.assert_allclose(
            y.detach().numpy(), antialias.blur_pool(x.detach().numpy(), window, stride, axes), atol=1e-14
        )


def test_blur_pool_by_hand() -> None:
    x = torch.tensor([[[0.0, 0, 0, 16, 0, 0, 0]]])
    assert ft.BlurPool(5, 1, ndim=1)(x)[0, 0].tolist() == [0, 1, 4, 6, 4, 1, 0]
    # An even window has one more sample after its centre than before.
    assert ft.BlurPool(2, 1, ndim=1)(x)[0, 0].tolist() == [0, 0, 8, 8, 0, 0, 0]


def test_blur_pool_hands_its_gradient_back() -> None:
    x = torch.randn(1, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    blur = ft.BlurPool((4, 3), (2, 1), boundary="wrap")
    assert torch.autograd.gradcheck(blur, x)
    assert not blur.state_dict()
    assert blur.half()(x.detach().half()).dtype == torch.float16


@pytest.mark.parametrize(("rank", "stride"), [(1, 2), (1, 3), (2, 2), (2, 3), (3, 2)])
@pytest.mark.parametrize("image", ["random", "constant", "symmetric"])
def test_polyphase_pooling_is_exactly_equivariant(rank, stride, image) -> None:
    x = torch.randn(3, 2, *[2 * stride] * rank)
    if image == "constant":
        x = torch.ones_like(x)
    if image == "symmetric":
        x = x + x.flip(2)
    pool = ft.PolyphasePool(stride, ndim=rank)
    y = pool(x)
    axes = tuple(range(-rank, 0))
    np.testing.assert_array_equal(y.numpy(), antialias.polyphase_pool(x.numpy(), stride, axes, batch_axes=0))
    assert torch.equal(pool(x[0]), y[0])
    for shift in itertools.islice(itertools.product(range(stride + 1), repeat=rank), 12):
        moved = pool(x.roll(shift, axes))
        shifts = itertools.product(*(range(2) for _ in range(rank)))
        rolled = [y.roll(s, axes) for s in shifts]
        # Every image is moved by some shift of its own.
        assert all(any(torch.equal(moved[n], r[n]) for r in rolled) for n in range(len(x)))


def test_polyphase_pooling_hands_its_gradient_to_what_it_kept() -> None:
    x = torch.tensor([[[[0.0, 1], [2, 3]], [[4.0, 9], [6, 7]]]], requires_grad=True)
    ft.PolyphasePool()(x).sum().backward()
    assert torch.equal(x.grad, torch.tensor([[[[0.0, 1], [0, 0]], [[0.0, 1], [0, 0]]]]))
    assert ft.PolyphasePool()(x[:0]).shape == (0, 2, 1, 1)


BAD = [
    (lambda: ft.Pool(3)(torch.zeros(1, 2, 2)), "spans 3 samples"),
    (lambda: ft.Pool(2, kind="mode"), "unknown kind"),
    (lambda: ft.Pool(2, kind="mean", return_indices=True), "chooses no sample"),
    (lambda: ft.PolyphasePool(2)(torch.zeros(1, 1, 4, 5)), r"multiples of \(2, 2\)"),
    (lambda: ft.PolyphasePool(2)(torch.zeros(4)), "this pooling takes"),
    (lambda: ft.BlurPool(0), "window 0 on axis 0"),
]


@pytest.mark.parametrize(("call", "text"), BAD)
def test_bad_input(call, text) -> None:
    with pytest.raises(FaltungError, match=text):
        call()


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_blur_pool_of_halves_is_rounded_once(half) -> None:
    x = torch.randn(2, 3, 20, 20).to(half)
    for module in (ft.BlurPool(15), ft.BlurPool(15).to(half)):
        assert torch.equal(module(x), ft.BlurPool(15)(x.float()).to(half))
    with torch.autocast("cpu"):
        assert ft.BlurPool(3)(x.float()).dtype == torch.float32
    with torch.device("meta"):
        empty = ft.BlurPool(3)
    assert torch.equal(empty.to_empty(device="cpu")(x), ft.BlurPool(3)(x))


def test_the_function_takes_what_the_module_takes() -> None:
    x = torch.randn(1, 2, 6, 6)
    assert torch.equal(ft.pool(x, 2, ndim=2), ft.Pool(2)(x))
