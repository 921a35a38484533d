"""What is a convolution already becomes a Convolution that does the same."""

import numpy as np
import pytest

import faltung as ft
from faltung.errors import ProblemError
from faltung.symmetry import identify


def test_filters_and_findings() -> None:
    x = np.random.default_rng(0).standard_normal((12, 13))
    sobel = ft.filters.sobel()
    np.testing.assert_array_equal(ft.Convolution.of(sobel)(x), ft.convolve(x, sobel))
    found = identify(lambda line: np.convolve(line, [1, 2, 4], "same"), 24)
    np.testing.assert_allclose(ft.Convolution.of(found)(x[0]), np.convolve(x[0], [1, 2, 4], "same"))
    itself = ft.Convolution([1, 2])
    assert ft.Convolution.of(itself) is itself
    with pytest.raises(ProblemError, match="a ndarray is no convolution: give a filter"):
        ft.Convolution.of(np.ones(3))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [(1, 2), "same", "valid"])
def test_layers_of_torch(mode: str, padding: object) -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Conv2d(4, 6, (3, 4), 1, padding, 2, 2, bias=False, padding_mode=mode)
    x = torch.randn(2, 4, 12, 13)
    operator = ft.Convolution.of(layer)
    np.testing.assert_allclose(operator(x.numpy()), layer(x).detach().numpy(), atol=1e-5)
    from faltung.torch import Conv

    ours = Conv(4, 6, 3, bias=False)
    np.testing.assert_allclose(ft.Convolution.of(ours)(x.numpy()), ours(x).detach().numpy(), atol=1e-5)
