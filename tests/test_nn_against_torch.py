"""Layers and all their gradients equal torch's, in one to three dimensions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faltung import nn

torch = pytest.importorskip("torch")
MODES = {"zero": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_layers_equal_torch(data) -> None:
    rank, groups = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    ins, outs = groups * data.draw(st.integers(1, 3)), groups * data.draw(st.sampled_from([1, 2, 5, 17]))
    window, stride, dilation = ([data.draw(st.integers(1, n)) for _ in range(rank)] for n in (4, 3, 3))
    rule = data.draw(st.sampled_from(sorted(MODES)))
    pads = [(data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))) for _ in range(rank)]
    sizes = [max(data.draw(st.integers(3, 10)), d * (k - 1) + 1) for k, d in zip(window, dilation, strict=True)]
    dtype, atol = data.draw(st.sampled_from([("f4", 1e-4), ("f8", 1e-12)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.standard_normal((2, ins, *sizes)).astype(dtype)
    weight, bias = (
        rng.standard_normal((outs, ins // groups, *window)).astype(dtype),
        rng.standard_normal(outs).astype(dtype),
    )
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, weight, bias)]
    flat = [p for pair in reversed(pads) for p in pair]
    padded = torch.nn.functional.pad(tensors[0], flat, mode=MODES[rule])
    conv = getattr(torch.nn.functional, f"conv{rank}d")
    want = conv(padded, *tensors[1:], stride=stride, dilation=dilation, groups=groups)
    rest = (stride, pads, dilation, groups, rule)
    y = nn.conv(x, weight, bias, *rest)
    grad = rng.standard_normal(y.shape).astype(dtype)
    want.backward(torch.tensor(grad))
    found = (
        y, nn.conv_input_gradient(grad, weight, x.shape, *rest), nn.conv_weight_gradient(grad, x, weight.shape, *rest)
    )  # fmt: skip
    for ours, theirs in zip(found, (want.detach(), tensors[0].grad, tensors[1].grad), strict=True):
        scale = max(1.0, float(theirs.abs().max()))
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=atol * scale)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_transposed_layers_equal_torch(data) -> None:
    rank, groups = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    ins, outs = groups * data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 2, 17]))
    window, stride, dilation = ([data.draw(st.integers(1, n)) for _ in range(rank)] for n in (4, 3, 3))
    sizes = [data.draw(st.integers(3, 7)) for _ in range(rank)]
    extra = [data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)]
    pads = [data.draw(st.integers(0, 1)) for _ in range(rank)]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.standard_normal((2, ins, *sizes))
    weight, bias = rng.standard_normal((ins, outs, *window)), rng.standard_normal(outs * groups)
    conv = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    want = conv(
        *map(torch.tensor, (x, weight, bias)), stride=stride, padding=pads, output_padding=extra, groups=groups,
        dilation=dilation,
    )  # fmt: skip
    np.testing.assert_allclose(
        nn.conv_transpose(x, weight, bias, stride, pads, extra, groups, dilation), want, atol=1e-11
    )
