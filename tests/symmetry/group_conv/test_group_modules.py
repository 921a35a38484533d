"""Group modules of torch: turned inputs by numpy.rot90, before and after training, and gradients by differences."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from faltung import errors, symmetry

torch = pytest.importorskip("torch")
from faltung.symmetry.group_conv import filter_bank  # noqa: E402  after the check for torch
from faltung.symmetry.group_conv.torch_modules import GroupBatchNorm, GroupConv, GroupPool, SpatialPool  # noqa: E402

nn = torch.nn
GROUPS = {"p4": symmetry.rotations90(), "p4m": symmetry.dihedral()}


def moves(name: str) -> list[Any]:
    """The group's elements on NumPy arrays: turns, then turns of the flipped array."""
    flips = [lambda x: x, lambda x: x[..., ::-1]]
    return [
        lambda x, r=r, f=f: np.rot90(f(x), r, (-2, -1)) for f in flips[: 2 if name == "p4m" else 1] for r in range(4)
    ]


def inputs(size: int, dtype: Any = None, batch: int = 2) -> Any:
    return torch.randn(batch, 1, size, size, generator=torch.Generator().manual_seed(3), dtype=dtype)


def network(name: str, kernel: int, stride: int, padding: int) -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        GroupConv(1, 3, 3, name, padding=1), GroupBatchNorm(3, name), nn.ReLU(),
        GroupConv(3, 2, kernel, name, "regular", stride=stride, padding=padding), nn.Tanh(),
        GroupPool(name, "mean"),
    )  # fmt: skip


def trained(model: Any, x: Any) -> Any:
    """Take three steps towards a target without symmetry."""
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(3):
        y = model(x)
        loss = (y - torch.arange(y.numel(), dtype=y.dtype).reshape(y.shape) / y.numel()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def worst(model: Any, x: Any, name: str) -> float:
    """The largest error of the pooled output over the group, relative to the largest output."""
    with torch.no_grad():
        y = model(x).numpy()
        errors_ = [np.abs(model(torch.tensor(m(x.numpy()).copy())).numpy() - m(y)).max() for m in moves(name)]
    return float(max(errors_) / np.abs(y).max())


CASES = [(9, 3, 1, 0), (10, 3, 1, 1), (9, 2, 1, 0), (10, 4, 2, 1), (9, 3, 2, 1), (11, 5, 3, 0)]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), CASES)
@pytest.mark.parametrize("name", ["p4", "p4m"])
def test_equivariance_before_and_after_training(name: str, size: int, kernel: int, stride: int, padding: int) -> None:
    for dtype, limit in ((torch.float32, 1e-6), (torch.float64, 1e-13)):
        model, x = network(name, kernel, stride, padding).to(dtype), inputs(size, dtype)
        before = model[3].weight.detach().clone()
        assert worst(model.eval(), x, name) <= limit
        trained(model.train(), x)
        assert not torch.equal(model[3].weight, before)
        assert worst(model.eval(), x, name) <= limit
        assert worst(model.train(), x, name) <= limit


@pytest.mark.parametrize("name", ["p4", "p4m"])
def test_the_audit_sees_the_regular_representation(name: str) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        GroupConv(1, 2, 3, name, padding=1), nn.ReLU(), SpatialPool(2), GroupConv(2, 2, 3, name, "regular"),
    ).double()  # fmt: skip
    report = symmetry.equivariance(model, inputs(12, torch.float64, 1), GROUPS[name], "regular")
    report.require(1e-13)
    invariant = nn.Sequential(*model, GroupPool(name), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    symmetry.equivariance(invariant, inputs(12, torch.float64, 1), GROUPS[name], "invariant").require(1e-13)
    # Shifts of the input are shifts of the output, as of every convolution.
    lift = model[:1].float()
    inner = symmetry.equivariance(lift, inputs(12), symmetry.shifts(beyond="crop"), "field")
    assert {e.cause for e in inner.per_element} <= {"exact", "boundary"}


@pytest.mark.parametrize("name", ["p4", "p4m"])
@pytest.mark.parametrize("kind", ["trivial", "regular"])
def test_the_bank_is_the_moved_weights(name: str, kind: Any) -> None:
    conv = GroupConv(2, 3, 3, name, kind, dtype=torch.float64)
    bank = filter_bank(conv.weight.detach().numpy(), name)
    np.testing.assert_array_equal(conv.filter_bank().detach().numpy(), bank)
    x = torch.randn(2, bank.shape[1], 5, 5, dtype=torch.float64)
    plain = nn.functional.conv2d(x, torch.tensor(bank), conv.bias.repeat_interleave(len(GROUPS[name])))
    torch.testing.assert_close(conv(x), plain, rtol=0, atol=0)
    for o, g in product(range(3), range(len(GROUPS[name]))):
        if kind == "trivial":
            np.testing.assert_array_equal(
                bank[o * len(GROUPS[name]) + g], moves(name)[g](conv.weight[o].detach().numpy())
            )


def test_gradients() -> None:
    torch.manual_seed(0)
    for kind, channels in (("trivial", 1), ("regular", 4)):
        conv = GroupConv(1, 1, 2, "p4", kind, stride=2, dtype=torch.float64)
        x = torch.randn(1, channels, 4, 4, dtype=torch.float64, requires_grad=True)

        def run(x: Any, weight: Any, bias: Any, conv: Any = conv) -> Any:
            return torch.func.functional_call(conv, {"weight": weight, "bias": bias}, (x,))

        leaves = (x, conv.weight, conv.bias)
        assert torch.autograd.gradcheck(run, leaves)
        assert torch.autograd.gradgradcheck(run, leaves)
    pool = nn.Sequential(SpatialPool(2, kind="mean"), GroupPool("p4", "mean"), GroupBatchNorm(1, "p4"))[:2].double()
    assert torch.autograd.gradcheck(pool, torch.randn(1, 4, 4, 4, dtype=torch.float64, requires_grad=True))


def test_kept_banks_follow_the_parameters() -> None:
    conv, x = GroupConv(1, 2, 3, "p4").eval(), inputs(7)

    def expected() -> Any:
        bank = torch.tensor(filter_bank(conv.weight.detach().numpy(), "p4"))
        return nn.functional.conv2d(x.to(bank.dtype), bank, conv.bias.repeat_interleave(4))

    changes = (
        lambda: None,
        lambda: conv.weight.data.mul_(2),
        lambda: conv.bias.data.add_(1),
        lambda: conv.load_state_dict(GroupConv(1, 2, 3, "p4").state_dict()),
        conv.double,
    )
    for mode in (torch.no_grad, torch.inference_mode):
        for change in changes:
            change()
            x = x.to(conv.weight.dtype)
            with mode():
                for _ in range(2):
                    torch.testing.assert_close(conv(x), expected(), rtol=0, atol=0)
        conv, x = conv.float(), x.float()
    torch.testing.assert_close(conv(x), expected(), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_features_give_what_torch_gives(dtype: Any) -> None:
    torch.manual_seed(0)
    conv = GroupConv(2, 8, 3, "p4", "regular", padding=1, dtype=dtype)
    x = torch.randn(5, 8, 100, 100, dtype=dtype, requires_grad=True)
    grad, leaves = torch.randn(5, 32, 100, 100, dtype=dtype), (x, conv.weight, conv.bias)
    plain = nn.functional.conv2d(x, conv.filter_bank(), conv.bias.repeat_interleave(4), 1, 1)
    y = conv(x)
    pairs = zip(
        (y, *torch.autograd.grad(y, leaves, grad)), (plain, *torch.autograd.grad(plain, leaves, grad)), strict=True
    )
    for ours, theirs in pairs:
        error = (ours - theirs).abs().max() / theirs.abs().max()
        assert error <= (1e-5 if dtype == torch.float32 else 1e-13)
    with torch.no_grad():
        turned = conv(x.reshape(5, 2, 4, 100, 100).roll(1, 2).rot90(1, (3, 4)).reshape(x.shape))
        moved = y.reshape(5, 8, 4, 100, 100).roll(1, 2).rot90(1, (3, 4)).reshape(y.shape)
    assert (turned - moved).abs().max() <= (1e-6 if dtype == torch.float32 else 1e-13) * y.abs().max()


def test_pooling_and_normalisation() -> None:
    y = torch.randn(3, 8, 6, 6, dtype=torch.float64)
    fields = y.numpy().reshape(3, 2, 4, 6, 6)
    np.testing.assert_array_equal(GroupPool("p4")(y).numpy(), fields.max(2))
    np.testing.assert_allclose(GroupPool("p4", "mean")(y).numpy(), fields.mean(2), atol=1e-15)
    windows = fields.reshape(3, 8, 3, 2, 3, 2)
    np.testing.assert_array_equal(SpatialPool(2)(y).numpy(), windows.max((3, 5)))
    np.testing.assert_allclose(SpatialPool(2, kind="mean")(y).numpy(), windows.mean((3, 5)), atol=1e-15)
    norm = GroupBatchNorm(2, "p4").double()
    mean, variance = fields.mean((0, 2, 3, 4), keepdims=True), fields.var((0, 2, 3, 4), keepdims=True)
    expected = ((fields - mean) / np.sqrt(variance + 1e-5)).reshape(y.shape)
    np.testing.assert_allclose(norm(y).detach().numpy(), expected, atol=1e-13)
    assert norm.running_mean.shape == (2,)


def test_lines_and_cubes() -> None:
    from faltung.symmetry.group_conv.action import cube_rotations

    torch.manual_seed(0)
    line = GroupConv(1, 2, 4, symmetry.reflections(ndim=1), dtype=torch.float64)
    x = torch.randn(1, 1, 9, dtype=torch.float64)
    torch.testing.assert_close(line(x.flip(2))[:, [1, 0, 3, 2]], line(x).flip(2), rtol=0, atol=1e-14)
    group = cube_rotations()
    cube = nn.Sequential(
        GroupConv(1, 1, 2, group, stride=2),
        nn.ReLU(),
        GroupConv(1, 1, 3, group, "regular", padding=1),
        GroupPool(group),
    ).double()
    v = torch.randn(1, 1, 8, 8, 8, dtype=torch.float64)
    for axes in ((2, 3), (2, 4), (3, 4)):
        torch.testing.assert_close(cube(v.rot90(1, axes)), cube(v).rot90(1, axes), rtol=0, atol=1e-13)
    symmetry.equivariance(cube, v, group, "field").require(1e-12)


def test_states_are_kept_and_bare_layers_have_no_bias() -> None:
    conv, other = GroupConv(1, 2, 3, "p4m", bias=False), GroupConv(1, 2, 3, "p4m", bias=False)
    assert list(conv.state_dict()) == ["weight"]
    other.load_state_dict(conv.state_dict())
    x = inputs(7)
    torch.testing.assert_close(other(x), conv(x), rtol=0, atol=0)
    assert "group=dihedral" in repr(conv)
    assert "kind=max" in repr(GroupPool())
    assert "stride=(2, 2)" in repr(SpatialPool(2))
    assert conv.weight.abs().max() <= 1 / 3


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: GroupConv(1, 1, 3, "p6"), "'p6' is unknown"),
        (lambda: GroupConv(0, 1, 3), "at least 1 of each"),
        (lambda: GroupConv(1, 1, 0), "whole numbers of at least 1"),
        (lambda: GroupConv(1, 1, 3, padding=-1), "whole numbers of at least 0"),
        (lambda: GroupConv(1, 1, (3, 5)), "exchange the same number"),
        (lambda: GroupConv(1, 1, 3, input="vector"), "'vector' is unknown"),  # type: ignore[arg-type]
        (lambda: GroupConv(1, 1, 3, symmetry.reflections(ndim=4)), "torch convolves along 1 to 3"),
        (lambda: GroupConv(1, 1, 3)(torch.zeros(1, 2, 5, 5)), r"give \(N, 1, \*sizes\)"),
        (lambda: GroupConv(1, 1, 3, stride=2)(torch.zeros(1, 1, 8, 8)), "take size 7 or 9, or window 2 or 4"),
        (lambda: SpatialPool(2)(torch.zeros(1, 1, 7, 7)), "take size 6 or 8"),
        (lambda: SpatialPool(2, padding=2), "more than half"),
        (lambda: SpatialPool(2)(torch.zeros(1, 6, 6)), "with 2 sizes"),
        (lambda: GroupPool()(torch.zeros(1, 6, 3, 3)), "no fields of 4"),
        (lambda: GroupPool("p4", "sum"), "'sum' is unknown"),  # type: ignore[arg-type]
        (lambda: GroupBatchNorm(2)(torch.zeros(1, 4, 3, 3)), "give 8 channels"),
    ],
)
def test_bad_input(call: Any, match: str) -> None:
    with pytest.raises(errors.ProblemError, match=match):
        call()
