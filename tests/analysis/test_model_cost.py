"""A torch model's table against torch's own parameter count and counted flops, and against literal loops."""

import numpy as np
import pytest

from faltung import Convolution
from faltung.analysis import model_cost as module_under_test
from faltung.analysis.model_cost import model_cost
from faltung.errors import ProblemError

torch = pytest.importorskip("torch")
nn = torch.nn


def network() -> "nn.Module":
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8, dilation=2),
        nn.ConvTranspose2d(8, 4, 4, stride=2, groups=2), nn.AdaptiveMaxPool2d((5, 4)), nn.Flatten(), nn.Linear(80, 10),
    )  # fmt: skip


def test_the_whole_model_agrees_with_torchs_own_counter() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    model, x = network(), torch.zeros(2, 3, 20, 18)
    table = model_cost(model, x.shape)
    assert table.parameters == sum(p.numel() for p in model.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(x)
    assert 2 * table.macs == counter.get_total_flops()
    assert [row.kind for row in table] == [type(layer).__name__ for layer in model]
    assert [row.output_shape[0] for row in table] == [2] * len(model)
    assert table.activation_bytes == 4 * sum(int(np.prod(row.output_shape)) for row in table)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_of_any_rank(rank, transposed) -> None:
    kind = getattr(nn, f"Conv{'Transpose' if transposed else ''}{rank}d")
    table = model_cost(kind(4, 6, 3, stride=2, groups=2, bias=False), (2, 4, *(7,) * rank))
    positions = 7 if transposed else 3
    assert table.macs == 2 * positions**rank * 3**rank * 4 * 6 // 2
    assert table.parameters == 3**rank * 4 * 6 // 2


def test_poolings_meet_as_many_samples_as_their_windows_hold() -> None:
    for layer, want in [
        (nn.MaxPool2d(3, 2), 2 * 4 * 3 * 9),
        (nn.AvgPool2d((2, 3)), 2 * 5 * 2 * 6),
        (nn.LPPool2d(2, 2), 2 * 5 * 4 * 4),
        (nn.AdaptiveAvgPool2d((3, 8)), 2 * (4 + 4 + 4) * 8),
        (nn.AdaptiveMaxPool2d(3), 2 * (4 + 4 + 4) * (3 + 4 + 3)),
    ]:
        table = model_cost(layer, (1, 2, 10, 8))
        assert (table.macs, table.flops, table.parameters) == (0, want, 0)


class Odd(nn.Module):
    """One layer called twice, one never, a parameter outside of all layers, and an output that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.never = nn.Linear(4, 4), nn.Linear(5, 5)
        self.scale = nn.Parameter(torch.ones(3))
        self.recurrent = nn.LSTM(4, 2)

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        return self.recurrent(self.twice(self.twice(x)))[0] * self.scale[0]


def test_parameters_are_counted_once_and_none_is_lost() -> None:
    model = Odd()
    table = model_cost(model, (7, 4))
    assert [row.name for row in table] == ["twice", "twice", "recurrent", "(elsewhere)"]
    assert table.parameters == sum(p.numel() for p in model.parameters())
    assert table.macs == 2 * 7 * 16
    assert table[2].macs is None


class Ours(nn.Module):
    """A layer that says which convolution it is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6, 2, 3))
        self.operator = Convolution(np.ones((6, 2, 3)), channels=True, groups=2, mode="valid")

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        return torch.nn.functional.conv1d(x, self.weight, groups=2)


def test_a_layer_with_an_operator_is_counted_by_it() -> None:
    table = model_cost(Ours(), (2, 4, 9))
    assert (table.macs, table.parameters) == (2 * 7 * 6 * 2 * 3, 36)


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv1d(1, 1, 3), nn.Dropout(), nn.BatchNorm1d(1).eval())
    model_cost(model, (2, 1, 8))
    assert [layer.training for layer in model] == [True, True, False]
    assert not any(layer._forward_hooks for layer in model.modules())
    assert model[2].num_batches_tracked == 0
    with pytest.raises(RuntimeError):
        model_cost(model, (2, 3, 8))
    assert not any(layer._forward_hooks for layer in model.modules())


def test_the_table_is_the_docstrings() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2))
    shown = repr(model_cost(model, (1, 3, 10, 10)))
    written = [line.strip() for line in (module_under_test.model_cost.__doc__ or "").splitlines()]
    assert all(line.strip() in written for line in shown.splitlines())
    assert "<td>Conv2d</td>" in model_cost(model, (1, 3, 10, 10))._repr_html_()


def test_what_is_no_model() -> None:
    with pytest.raises(ProblemError, match=r"int is no torch.nn.Module"):
        model_cost(3, (1,))
