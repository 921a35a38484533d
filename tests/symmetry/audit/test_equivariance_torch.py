"""Audits of torch modules: errors known beforehand, the layer that makes them, and its cure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from faltung import errors, symmetry
from faltung.symmetry import equivariance
from faltung.symmetry.audit.layers import settings_of

torch = pytest.importorskip("torch")
nn = torch.nn


def isotropic(stride: int = 2, padding: int = 1) -> Any:
    layer = nn.Conv2d(1, 1, 3, stride=stride, padding=padding, bias=False)
    with torch.no_grad():
        layer.weight[0, 0] = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    return layer


def picture(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("size", [31, 32, 33])
def test_strides_and_sizes(size: int) -> None:
    for layer, exact, sizes in ((isotropic(), size % 2 == 1, "odd"), (nn.MaxPool2d(2), size % 2 == 0, "even")):
        report = equivariance(layer, picture(1, 1, size, size), symmetry.rotations90())
        if exact:
            assert report.max_error < 1e-6
            report.require(1e-5)
            continue
        assert report.max_error > 0.1
        assert report.worst_layer is not None
        assert f"stride 2 on size {size}" in report.worst_layer.advice
        assert f"exact on {sizes} sizes, or use polyphase_pool" in report.verdict
        with pytest.raises(errors.EquivarianceError, match=r"layer 1 \(module: (Conv|MaxPool)2d, .*exact on"):
            report.require(1e-5)


def test_padding_modes_under_circular_shifts() -> None:
    torch.manual_seed(0)
    for mode in ("circular", "zeros", "reflect", "replicate"):
        layer = nn.Conv2d(3, 4, 5, padding=2, padding_mode=mode)
        report = equivariance(layer, picture(1, 3, 32, 32), symmetry.shifts((1, 3)))
        if mode == "circular":
            assert report.max_error < 1e-6
        else:
            assert report.max_error > 0.01
            assert report.worst.cause == "boundary"
            assert f"padding with {mode} shows within 2 samples of an edge" in report.verdict
            assert "padding_mode='circular'" in report.verdict


def test_pooling_against_shifts() -> None:
    x = picture(1, 2, 32, 32)
    halved = equivariance(nn.MaxPool2d(2), x, symmetry.shifts((1, 2, 3, 4)))
    for found, distance in zip(halved.per_element, [1, 1, 2, 2, 3, 3, 4, 4], strict=True):
        assert found.unmoved > 0.1
        assert (found.relative > 0.1) if distance % 2 else (found.relative == 0)
    one = equivariance(nn.MaxPool2d(3, stride=1, padding=1), x, symmetry.shifts(range(1, 9)))
    assert {e.cause for e in one.per_element} == {"boundary"}
    inside = equivariance(nn.MaxPool2d(3, stride=1), x, symmetry.shifts(range(1, 9), beyond="crop"))
    assert inside.max_error == 0
    network = nn.Sequential(
        nn.Conv2d(2, 8, 5, padding=2, padding_mode="circular"), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    report = equivariance(network, x, symmetry.shifts(range(1, 9)))
    assert report.max_error < 1e-6
    assert "(invariant)" in report.decision


def test_the_layer_that_breaks_it_is_named() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular"), nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), nn.Tanh(),
        nn.MaxPool2d(2), nn.Conv2d(4, 2, 1),
    )  # fmt: skip
    report = equivariance(network, picture(1, 1, 32, 32), symmetry.shifts())
    assert [layer.max_error is not None and layer.max_error > 1e-4 for layer in report.per_layer] == [False] * 4 + [
        True,
        False,
    ]
    assert report.worst_layer is not None
    assert report.worst_layer.name == "4"
    with pytest.raises(errors.EquivarianceError, match=r"layer 5 \(4: MaxPool2d, 2x2, stride 2\) with error"):
        report.require(1e-5)
    assert [layer.settings for layer in report.per_layer][:2] == ["3x3, padding 1 circular", ""]
    assert [layer.input_shape for layer in report.per_layer][-1] == (1, 4, 16, 16)


def test_plain_kernels_are_to_become_group_convolutions() -> None:
    torch.manual_seed(2)
    report = equivariance(nn.Conv2d(1, 4, 3, padding=1), picture(1, 1, 17, 17), symmetry.dihedral())
    assert report.worst.cause == "rest"
    assert "GroupConv" in report.verdict


class Lift(nn.Module):
    """Rotated copies of each kernel, (fields · 4) channels."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 1, 3, 3))

    def forward(self, x: Any) -> Any:
        bank = torch.stack([torch.rot90(self.weight, r, (2, 3)) for r in range(4)], 1).flatten(0, 1)
        return nn.functional.conv2d(x, bank, padding=1)


class GroupPool(nn.Module):
    def forward(self, y: Any) -> Any:
        return y.unflatten(1, (-1, 4)).amax(2)


def test_representations_pass_from_layer_to_layer() -> None:
    torch.manual_seed(3)
    network = nn.Sequential(Lift(), nn.ReLU(), nn.AvgPool2d(2), GroupPool(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    x = picture(1, 1, 16, 16)
    report = equivariance(network, x, symmetry.rotations90())
    assert report.max_error < 1e-6
    assert [layer.max_error is None or layer.max_error < 1e-5 for layer in report.per_layer] == [True] * 6
    assert report.per_layer[-1].note == "nothing moves here any more"
    whole = equivariance(Lift(), x, symmetry.rotations90())
    assert whole.decision.endswith("channels permuted")
    # Pooling over the wrong groups of channels is not invariant, though each plane still turns.
    wrong = nn.Sequential(Lift(), nn.Unflatten(1, (4, 3)), nn.Flatten(1, 2))
    assert equivariance(wrong, x, symmetry.rotations90()).max_error < 1e-6


def test_an_error_between_layers_is_said() -> None:
    class Rolls(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.act(x) * torch.linspace(0, 1, x.shape[-1])

    report = equivariance(Rolls(), picture(1, 1, 16, 16), symmetry.shifts([(0, 3)]))
    assert report.max_error > 0.1
    assert "every layer holds by itself" in report.verdict
    with pytest.raises(errors.EquivarianceError, match="it treats positions differently"):
        report.require(1e-3)


def test_a_module_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    network[0].eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    report = equivariance(network, np.ones((1, 1, 8, 8)) + np.eye(8), symmetry.rotations90())
    assert report.noise == 0
    assert [m.training for m in network.modules()] == [True, False, True, True]
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert not any(m._forward_hooks for m in network.modules())


def test_tensors_go_into_plain_functions_and_1d_and_3d_modules() -> None:
    x = picture(2, 3, 16).double()
    roll = equivariance(lambda t: torch.roll(t, 2, -1) * 3, x, symmetry.shifts(ndim=1))
    assert roll.max_error == 0
    torch.manual_seed(0)
    line = nn.Conv1d(3, 2, 4, padding="same", padding_mode="circular").double()
    assert equivariance(line, x, symmetry.shifts(ndim=1)).max_error < 1e-14
    volume = nn.MaxPool3d(2)
    cube = symmetry.product(symmetry.permutations(3), symmetry.reflections(ndim=3))
    assert equivariance(volume, picture(1, 1, 6, 6, 6), cube).max_error == 0
    odd = equivariance(volume, picture(1, 1, 7, 7, 7), symmetry.reflections(ndim=3))
    assert odd.max_error > 0.1
    assert "exact on even sizes" in odd.verdict


def test_dense_layers_and_asymmetric_windows() -> None:
    torch.manual_seed(0)
    dense = nn.Sequential(nn.Flatten(2), nn.Linear(64, 64), nn.Unflatten(2, (8, 8)))
    report = equivariance(dense, picture(1, 1, 8, 8), symmetry.shifts())
    assert report.worst.cause == "rest"
    off_centre = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.AvgPool2d(2, stride=1))
    report = equivariance(off_centre, picture(1, 1, 16, 16), symmetry.rotations90())
    assert report.worst.cause == "lattice"
    assert "off centre; use an odd kernel, or equal padding" in report.verdict


def test_a_last_linear_layer_is_seen_through() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3))
    report = equivariance(network, picture(1, 1, 8, 8), symmetry.shifts())
    assert report.output_shape == (1, 3)
    assert report.max_error > 0.01


def test_settings_are_read_off_layers() -> None:
    shown = {
        nn.Conv2d(1, 1, (3, 5), stride=(2, 1), padding=(1, 2)): "3x5, stride 2x1, padding 1x2 zeros",
        nn.Conv2d(1, 1, 4, padding="same", dilation=2): "4x4, padding 3 zeros, dilation 2",
        nn.Conv2d(1, 1, 4, padding="same", dilation=1): "4x4, padding 1+2 zeros",
        nn.Conv2d(1, 1, 3, padding="valid"): "3x3",
        nn.MaxPool2d(3, padding=1): "3x3, stride 3, padding 1 zeros",
        nn.AvgPool2d((2, 4), stride=1): "2x4",
        nn.ConvTranspose2d(1, 1, 2, stride=2): "",
        nn.Unfold(3): "",
        nn.ReLU(): "",
    }
    assert {str(settings_of(layer, 4)) for layer in shown} == set(shown.values())
    assert [str(settings_of(layer, 4)) for layer in shown] == list(shown.values())
    report = equivariance(nn.ConvTranspose2d(1, 2, 2, stride=2), picture(1, 1, 8, 8), symmetry.shifts())
    assert report.max_error < 1e-6
    assert report.decision.endswith("stride 0.5")
    unbatched = equivariance(nn.MaxPool2d(2), picture(3, 9, 9), symmetry.rotations90())
    assert "exact on even sizes" in unbatched.verdict


def test_a_bias_is_no_boundary() -> None:
    torch.manual_seed(0)
    report = equivariance(nn.Conv2d(1, 2, 3, padding=1), picture(1, 1, 8, 8), symmetry.gain(2.0))
    assert [layer.worst.cause for layer in report.per_layer if layer.worst] == ["rest"]
    assert "drop biases" in report.verdict
    half = equivariance(nn.MaxPool2d(3, 1), picture(1, 1, 9, 9), symmetry.shifts(0.5))
    assert [layer.worst.cause for layer in half.per_layer if layer.worst] == ["rest"]
