"""faltung.torch's operators in torch's machinery: opcheck, compiled graphs, autocast, transforms, other devices."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402  after the check for torch

from faltung import torch as ft  # noqa: E402
from faltung.torch import compute, native, operators, pooling_operators  # noqa: E402
from faltung.torch.specification import layer, written  # noqa: E402

RULES = ["zero", "constant:2", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric"]
FORWARD_AD = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # by torch's own


def tensor(*shape: int, seed: int = 0) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()


SPEC = layer(2, [(1, 0), (2, 1)], 1, 2, "reflect")
POOLED = {"window": [3, 2], "kind": "mean", "stride": 2, "padding": 1, "boundary": "wrap"}
OPERATORS = {
    "conv": (operators.conv.custom, (tensor(2, 4, 7, 6), tensor(6, 2, 3, 2), tensor(6), [], SPEC)),
    "conv_adjoint": (operators.conv_adjoint.custom, (tensor(2, 6, 3, 4), tensor(6, 2, 3, 2), None, [7, 6], SPEC)),
    "conv_weight": (operators.conv_weight.custom, (tensor(2, 6, 3, 4), tensor(2, 4, 7, 6), [3, 2], SPEC)),
    "pool_sum": (pooling_operators.pool_sum.custom, (tensor(2, 3, 7, 6), written(POOLED))),
    "pool_spread": (pooling_operators.pool_spread.custom, (tensor(2, 3, 4, 4), [2, 3, 7, 6], written(POOLED))),
    "pool_values": (pooling_operators.pool_values, (tensor(2, 7, 6).detach(), written({**POOLED, "kind": "max"}))),
    "pool_chosen": (pooling_operators.pool_chosen, (tensor(2, 7, 6).detach(), written({**POOLED, "kind": "min"}))),
    "polyphase": (pooling_operators.polyphase, (tensor(2, 3, 4, 6).detach(), [2, 3], 2.0)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_opcheck(name) -> None:
    operator, args = OPERATORS[name]
    checks = torch.library.opcheck(operator, args)
    assert set(checks.values()) == {"SUCCESS"}


MODULES = {
    "conv": lambda: ft.Conv(2, 4, 3, 2, 1, boundary="reflect"),
    "same:tf": lambda: ft.Conv(2, 4, (3, 2), 2, "same:tf", groups=2, bias=False),
    "transpose": lambda: ft.ConvTranspose(2, 4, 3, 2, [(1, 2), (0, 1)], 2, dilation=3),
    "folded": lambda: ft.ConvTranspose(2, 3, 3, 2, 1, boundary="wrap"),
    "max": lambda: ft.Pool(2),
    "ceil": lambda: ft.Pool(3, 2, 1, ceil_mode=True, kind="min"),
    "lp": lambda: ft.Pool(3, 1, 1, kind="lp", boundary="edge"),
    "mean": lambda: ft.Pool((2, 3), 1, kind="mean", axes=(1, -1)),
    "blur": lambda: ft.BlurPool(4),
    "polyphase": lambda: ft.PolyphasePool(3),
    "local": lambda: ft.LocallyConnected(2, 4, 3, (9, 9), padding=1, boundary="edge"),
}


COMPILED = [(name, "aot_eager") for name in MODULES] + [(name, "eager") for name in ("conv", "transpose", "max")]


@pytest.mark.parametrize(("name", "backend"), COMPILED)
def test_a_compiled_graph_has_no_break_and_follows_sizes(name, backend) -> None:
    torch._dynamo.reset()
    module = MODULES[name]()
    compiled = torch.compile(module, fullgraph=True, backend=backend)
    # The second call has sizes that are symbols.
    for shape in ((2, 2, 9, 9), (3, 2, 9, 9) if name == "local" else (3, 2, 12, 15)):
        x = torch.randn(shape, requires_grad=True)
        both = []
        for run in (module, compiled):
            y = run(x)
            both.append([y, *torch.autograd.grad(y, [x, *module.parameters()], torch.ones_like(y))])
        assert all(torch.equal(a, b) for a, b in zip(*both, strict=True))


def test_a_compiled_network_trains_as_an_eager_one() -> None:
    torch._dynamo.reset()
    x, labels = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 1])

    def network() -> Any:
        torch.manual_seed(0)
        parts = [ft.Conv(1, 4, 3, padding=1), torch.nn.ReLU(), ft.Pool(2), ft.Conv(4, 4, 3, padding=1, boundary="wrap")]
        return torch.nn.Sequential(*parts, torch.nn.Flatten(), torch.nn.Linear(64, 3))

    losses = []
    for change in (lambda m: m, lambda m: torch.compile(m, fullgraph=True, backend="aot_eager")):
        module = change(network())
        optimizer = torch.optim.SGD(module.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss = functional.cross_entropy(module(x), labels)
            loss.backward()
            optimizer.step()
        losses.append(loss.detach())
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_autocast_is_torchs(half) -> None:
    module = ft.Conv(3, 4, 3, padding=1)
    reference = torch.nn.Conv2d(3, 4, 3, padding=1)
    reference.load_state_dict(module.state_dict())
    x = torch.randn(2, 3, 8, 8)
    with torch.autocast("cpu", half):
        y, want = module(x), reference(x)
        assert module.double()(x.double()).dtype == torch.float64
        pooled = ft.Pool(2, kind="mean")(x)
    assert y.dtype == want.dtype == half
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(y.float(), want.float(), atol=2 * torch.finfo(half).eps, rtol=2 * torch.finfo(half).eps)
    module.float()
    with torch.autocast("cpu", half):
        module(x).float().sum().backward()
        reference(x).float().sum().backward()
    assert module.weight.grad.dtype == torch.float32
    torch.testing.assert_close(module.weight.grad, reference.weight.grad, rtol=0.05, atol=0.1)


def test_meta_tensors_have_shapes_alone() -> None:
    x = torch.empty(2, 4, 9, 9, device="meta")
    assert ft.Conv(4, 6, 3, stride=2, device="meta")(x).shape == (2, 6, 4, 4)
    assert ft.ConvTranspose(4, 6, 3, stride=2, device="meta")(x).shape == (2, 6, 19, 19)
    assert ft.Pool(3, 2, ceil_mode=True)(x).shape == (2, 4, 4, 4)
    with pytest.raises(ValueError, match="has 4 channels"):
        ft.Conv(5, 6, 3, device="meta")(x)


def test_vmap_and_vjp_and_gradients_for_each_sample() -> None:
    x, weight, bias = tensor(5, 2, 3, 8).detach(), tensor(4, 3, 3).detach(), tensor(4).detach()
    each = torch.stack([ft.conv(image, weight, bias, padding=1) for image in x])
    torch.testing.assert_close(torch.vmap(lambda image: ft.conv(image, weight, bias, padding=1))(x), each)
    weights = torch.stack([weight, 2 * weight])
    several = torch.vmap(lambda w: ft.conv(x[0], w, padding=1))(weights)
    torch.testing.assert_close(several, torch.stack([ft.conv(x[0], w, padding=1) for w in weights]))

    def loss(w: Any, image: Any) -> Any:
        return (ft.conv(image, w, bias, 2, 1, boundary="edge") ** 2).sum()

    per_sample = torch.vmap(torch.func.grad(loss), in_dims=(None, 0))(weight, x)
    torch.testing.assert_close(per_sample, torch.stack([torch.func.grad(loss)(weight, image) for image in x]))
    _, pull = torch.func.vjp(lambda a: ft.conv_transpose(a, weight[:3]), x)
    wide = x.clone().requires_grad_()
    y = ft.conv_transpose(wide, weight[:3])
    torch.testing.assert_close(pull(torch.ones_like(y))[0], torch.autograd.grad(y.sum(), wide)[0])


@FORWARD_AD
def test_forward_derivatives_are_those_of_differences() -> None:
    from torch.autograd import forward_ad

    x, dx, weight = (t.detach() for t in (tensor(2, 3, 8), tensor(2, 3, 8, seed=1), tensor(4, 3, 3)))
    with forward_ad.dual_level():
        _, dy = forward_ad.unpack_dual(ft.conv(forward_ad.make_dual(x, dx), weight, padding=1, boundary="constant:3"))
    want = ft.conv(x + dx, weight, padding=1, boundary="constant:3") - ft.conv(
        x, weight, padding=1, boundary="constant:3"
    )
    torch.testing.assert_close(dy, want)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4])
def test_other_devices_get_the_same_answers(rank, rule) -> None:
    """The operations for other devices, run on the CPU: they are torch's own, and differ in nothing else."""
    spec = layer(2 if rank else 1, [(2, 1)] * rank, 1, 2, rule)
    x, weight, bias = tensor(2, 4, *[5] * rank), tensor(6, 2, *[3, 2, 1, 2][:rank]), tensor(6)
    y = compute.conv(x, weight, bias, [], spec).detach()
    found = compute.problem(x.shape, weight.shape, compute.DTYPES[x.dtype], None, spec)
    with torch.no_grad():
        torch.testing.assert_close(native.conv(found, x, weight, bias), y)
        shape = tuple(weight.shape)
        torch.testing.assert_close(
            native.conv_weight(found, y, x, shape), compute.conv_weight(y, x, list(shape[2:]), spec)
        )
        if rule != "constant:2":
            back = compute.conv_adjoint(y, weight, None, [5] * rank, spec)
            torch.testing.assert_close(native.conv_adjoint(found, y, weight, None), back)


POOLS = {
    "mean": lambda: ft.Pool(2, kind="mean"), "sum": lambda: ft.Pool(3, 2, 1, kind="sum", boundary="wrap"),
    "lp": lambda: ft.Pool(2, kind="lp", p=3), "max": lambda: ft.Pool(2), "largest": lambda: ft.Pool(2, kind="lp", p=float("inf")),
    "polyphase": lambda: ft.PolyphasePool(2), "blur": lambda: ft.BlurPool(3),
}  # fmt: skip


@pytest.mark.parametrize("name", POOLS)
def test_transforms_follow_poolings(name) -> None:
    """Against autograd's ordinary backward, which the tests of poolings check by differences."""
    pool, x, dx = POOLS[name](), tensor(2, 3, 8, 8).detach(), tensor(2, 3, 8, 8, seed=1).detach()
    y = pool(x.clone().requires_grad_())
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=y.dtype)

    def total(x):
        return (pool(x) * weights).sum()

    leaf = x.clone().requires_grad_()
    (want,) = torch.autograd.grad(total(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(total)(x), want)
    value, slope = torch.func.jvp(total, (x,), (dx,))
    torch.testing.assert_close(value, total(x))
    torch.testing.assert_close(slope, (want * dx).sum())
    with torch.autograd.forward_ad.dual_level():
        dual = total(torch.autograd.forward_ad.make_dual(x, dx))
        torch.testing.assert_close(torch.autograd.forward_ad.unpack_dual(dual).tangent, slope)
    each = torch.vmap(torch.func.grad(lambda one, w: (pool(one[None])[0] * w).sum()))(x, weights)
    torch.testing.assert_close(each, want)
    leaf = torch.stack([x, dx]).requires_grad_()
    mapped = torch.vmap(pool)(leaf)
    torch.testing.assert_close(mapped[0], pool(x))
    (mapped[0] * weights).sum().backward()
    torch.testing.assert_close(leaf.grad[0], want)


def test_gradients_of_many_outputs_at_once_and_traces() -> None:
    x, weight = tensor(1, 2, 5, 5), tensor(3, 2, 3, 3).detach()
    y = ft.conv(x, weight)
    many = torch.randn(4, *y.shape, dtype=y.dtype)
    (found,) = torch.autograd.grad(y, x, many, retain_graph=True, is_grads_batched=True)
    want = torch.stack([torch.autograd.grad(y, x, one, retain_graph=True)[0] for one in many])
    torch.testing.assert_close(found, want)
    layer = ft.Conv(2, 3, 3).double()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and warns of every Python number
        traced = torch.jit.trace(layer, x)
        assert not torch.equal(traced(0 * x), traced(x))
        torch.testing.assert_close(traced(2 * x), layer(2 * x))


def test_a_compiled_decoder_asks_for_the_sizes_it_needs() -> None:
    class Decoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = torch.nn.Conv2d(4, 4, 3, 2, 1), ft.ConvTranspose(4, 4, 3, 2, 1)

        def forward(self, x):
            return self.up(self.down(x), output_size=x.shape[2:])

    model = Decoder()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    for n in (6, 7, 8, 9, 11):
        x = torch.randn(1, 4, n, n)
        torch.testing.assert_close(compiled(x), model(x))
    for p in (2.0, 3.0, 4.5):
        norm = ft.Pool(2, kind="lp", p=p)
        torch.testing.assert_close(torch.compile(norm, backend="eager", fullgraph=True)(x), norm(x))
