"""faltung.torch's modules: names, arguments, initial values and state dicts of torch.nn; a whole ResNet-18."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from faltung.errors import GeometryError

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402  after the check for torch
from torch.nn import functional  # noqa: E402

import faltung  # noqa: E402
from faltung import torch as ft  # noqa: E402

CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_state_dicts_load_and_answers_are_torchs(rank, mode) -> None:
    asked = (4, 6, 3, 2, 2, 1, 2, True, mode)
    theirs, ours = CONVS[rank](*asked), ft.Conv(*asked, ndim=rank)
    assert str(ours.load_state_dict(theirs.state_dict())) == "<All keys matched successfully>"
    x = torch.randn(2, 4, *[7] * rank)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours(x[0]), theirs(x[0]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_transposed_state_dicts_too(rank) -> None:
    asked = (4, 6, 3, 2, 1, 1, 2, True, 1)
    theirs, ours = TRANSPOSED[rank](*asked), ft.ConvTranspose(*asked, ndim=rank)
    assert str(ours.load_state_dict(theirs.state_dict())) == "<All keys matched successfully>"
    x = torch.randn(2, 4, *[5] * rank)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)
    sizes = [9] * rank
    torch.testing.assert_close(ours(x, sizes), theirs(x, sizes), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_a_seed_gives_torchs_initial_values(bias) -> None:
    for ours, theirs in ((ft.Conv, nn.Conv2d), (ft.ConvTranspose, nn.ConvTranspose2d)):
        values = []
        for make in (ours, theirs):
            torch.manual_seed(0)
            layer = make(4, 6, (3, 2), groups=2, bias=bias)
            layer.reset_parameters()
            values.append(layer.state_dict())
        assert values[0].keys() == values[1].keys()
        assert all(torch.equal(values[0][name], values[1][name]) for name in values[0])


class Ours:
    """The layers that a network is built of."""

    conv, pool = ft.Conv, staticmethod(lambda: ft.Pool(3, 2, 1))


class Theirs:
    conv, pool = nn.Conv2d, staticmethod(lambda: nn.MaxPool2d(3, 2, 1))


class Block(nn.Module):
    def __init__(self, layers: Any, ins: int, outs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = layers.conv(ins, outs, 3, stride, 1, bias=False)
        self.conv2 = layers.conv(outs, outs, 3, 1, 1, bias=False)
        self.bn1, self.bn2, self.down = nn.BatchNorm2d(outs), nn.BatchNorm2d(outs), None
        if stride != 1 or ins != outs:
            self.down = nn.Sequential(layers.conv(ins, outs, 1, stride, bias=False), nn.BatchNorm2d(outs))

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (x if self.down is None else self.down(x)))


def resnet18(layers: Any) -> Any:
    """He et al. 2016, figure 3 and table 1: two blocks of each of four widths."""
    parts = [layers.conv(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), layers.pool()]
    ins = 64
    for outs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        parts += [Block(layers, ins, outs, stride), Block(layers, outs, outs, 1)]
        ins = outs
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def test_a_resnet18_has_the_logits_and_gradients_of_its_twin() -> None:
    torch.manual_seed(0)
    theirs = resnet18(Theirs)
    torch.manual_seed(0)
    ours = resnet18(Ours)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert sum(p.numel() for p in ours.parameters()) == 11_689_512
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 64, 64)
    for mode in (False, True):
        results = []
        for network in (ours, theirs):
            network.train(mode)
            network.zero_grad()
            logits = network(x)
            if mode:
                functional.cross_entropy(logits, torch.tensor([3, 5])).backward()
            results.append(logits.detach())
        assert (results[0] - results[1]).abs().max() < 1e-4
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        # Batches of four values, at the end, enlarge rounding.
        assert (a.grad - b.grad).norm() <= 1e-3 * b.grad.norm() + 1e-6, name


def test_a_network_in_four_dimensions_takes_a_step() -> None:
    layer = ft.Conv(8, 16, 3, padding=1, ndim=4, boundary="wrap")
    x = torch.randn(2, 8, 12, 12, 12, 12, requires_grad=True)
    y = layer(x)
    assert y.shape == (2, 16, 12, 12, 12, 12)
    y.square().mean().backward()
    assert x.grad.shape == x.shape
    # Wrapped, every weight of a channel meets every sample once: the sum of y follows from sums alone.
    want = torch.einsum("oc,nc->no", layer.weight.sum((2, 3, 4, 5)), x.sum((2, 3, 4, 5))) + 12**4 * layer.bias
    torch.testing.assert_close(y.sum((2, 3, 4, 5)), want, rtol=1e-3, atol=0.5)


def test_attributes_may_change_and_copies_are_whole() -> None:
    layer = ft.Conv(2, 3, 3, padding=1)
    x = torch.randn(1, 2, 8, 8)
    layer.stride, layer.dilation, layer.padding = 2, 2, 2
    want = functional.conv2d(x, layer.weight, layer.bias, 2, 2, 2)
    torch.testing.assert_close(layer(x), want, atol=1e-5, rtol=1e-5)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(x), layer(x))
    assert layer.double()(x.double()).dtype == torch.float64


def test_a_layer_is_a_convolution() -> None:
    layer = ft.Conv(2, 3, (3, 2), 2, [(1, 0), (1, 1)], groups=1, bias=False, boundary="reflect")
    operator = layer.operator
    assert isinstance(operator, faltung.Convolution)
    x = torch.randn(1, 2, 8, 8)
    np.testing.assert_array_equal(operator(x.numpy()), layer(x).detach().numpy())
    with pytest.raises(GeometryError, match="give numbers"):
        _ = ft.Conv(2, 3, 3, padding="same").operator


def test_same_is_torchs() -> None:
    x = torch.randn(1, 2, 8, 9)
    ours, theirs = (
        ft.Conv(2, 3, (3, 5), padding="same", dilation=2),
        nn.Conv2d(2, 3, (3, 5), padding="same", dilation=2),
    )
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rank", [1, 2])
def test_a_locally_connected_layer_has_a_window_for_each_output(rank) -> None:
    asked = {"stride": 2, "padding": [(1, 2)] * rank, "dilation": 1, "groups": 2, "boundary": "reflect"}
    layer = ft.LocallyConnected(4, 6, 3, [5] * rank, dtype=torch.float64, **asked)
    x = torch.randn(2, 4, *[5] * rank, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    want = faltung.nn.locally_connected(x.detach().numpy(), layer.weight.detach().numpy(), None, **asked)
    np.testing.assert_allclose((y - layer.bias).detach().numpy(), want, atol=1e-13)
    # By loops: the windows of one output, for one group.
    padded = np.pad(x.detach().numpy(), [(0, 0), (0, 0), *[(1, 2)] * rank], mode="reflect")
    for at in np.ndindex(*y.shape[2:]):
        window = padded[(slice(None), slice(2, 4), *(slice(2 * i, 2 * i + 3) for i in at))]
        weights = layer.weight.detach().numpy()[(slice(3, 6), slice(None), *at)]
        sums = np.tensordot(window, weights, (tuple(range(1, rank + 2)),) * 2)
        np.testing.assert_allclose(want[(slice(None), slice(3, 6), *at)], sums.reshape(2, 3), atol=1e-13)
    grad = torch.randn_like(y)
    gx, gw = torch.autograd.grad(y, (x, layer.weight), grad)
    arrays = faltung.nn.locally_connected_gradients(
        grad.numpy(), x.detach().numpy(), layer.weight.detach().numpy(), **asked
    )
    for found, exact in zip((gx, gw), arrays, strict=True):
        np.testing.assert_allclose(found.numpy(), exact, atol=1e-12)
    torch.testing.assert_close(layer(x[0]), y[0])


BAD = [
    (lambda: ft.Conv(4, 6, 3, groups=3), "groups=3 does not divide 4 input and 6 output"),
    (lambda: ft.Conv(4, 6, 3, padding_mode="mirror"), "unknown padding_mode 'mirror'"),
    (lambda: ft.Conv(4, 6, (3, 3), ndim=3), "has 2 entries for 3"),
    (lambda: ft.Conv(4, 6, 3)(torch.zeros(1, 5, 9, 9)), "has 5 channels"),
    (lambda: ft.Conv(4, 6, 3)(torch.zeros(1, 4, 2, 9)), "spans 3 samples .* = 2; pad by 1"),
    (lambda: ft.ConvTranspose(4, 6, 3, 2)(torch.zeros(1, 4, 5, 5), (14, 13)), "out of reach: this input becomes"),
    (lambda: ft.LocallyConnected(1, 1, 3, (9,))(torch.zeros(1, 1, 8)), r"takes \(1, 9\), not \(1, 1, 8\)"),
]


@pytest.mark.parametrize(("call", "text"), BAD)
def test_bad_input(call, text) -> None:
    with pytest.raises(GeometryError, match=text):
        call()


def test_modules_say_what_they_are() -> None:
    assert repr(ft.Conv(4, 6, 3, 2)).startswith("Conv(4, 6, 3x3, stride=2, padding=0, dilation=1, groups=1, bias=True")
    assert repr(ft.ConvTranspose(4, 6, 3, 2)).startswith("ConvTranspose(4, 6, 3x3, stride=2")
    assert "(9, 9)" in repr(ft.LocallyConnected(1, 2, 3, (9, 9)))
    assert repr(ft.Pool(2)) == "Pool(max 2x2: y[j] = max_l x[2·j + l])"
