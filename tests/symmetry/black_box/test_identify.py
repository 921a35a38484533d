"""What identify must find: convolutions made of NumPy's padding and sums, other libraries' filters, and what is none."""

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from faltung import Convolution
from faltung.errors import DtypeError, GeometryError, ProblemError
from faltung.symmetry import identify
from strategies import NUMPY_PAD


def filtered(x: np.ndarray, kernel: np.ndarray, stride: int, dilation: int, pads: Any, rule: str) -> np.ndarray:
    """Extend by NumPy, then sum over windows."""
    wide = np.pad(x, pads, **NUMPY_PAD[rule])
    window = [(k - 1) * dilation + 1 for k in kernel.shape]
    views = np.lib.stride_tricks.sliding_window_view(wide, window)
    axes = tuple(range(x.ndim))
    views = views[tuple(slice(None, None, stride) for _ in axes)]
    views = views[(..., *(slice(None, None, dilation) for _ in axes))]
    return np.tensordot(views, kernel, x.ndim)


@st.composite
def boxes(draw: st.DrawFn) -> dict[str, Any]:
    rank = draw(st.integers(1, 2))
    stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    least = 3 if dilation > 1 else 1
    kernel_shape = tuple(draw(st.integers(least, 4)) for _ in range(rank))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kernel = rng.uniform(0.5, 2, kernel_shape) * rng.choice([-1, 1], kernel_shape)
    pads = [tuple(draw(st.integers(0, (k - 1) * dilation)) for _ in range(2)) for k in kernel_shape]
    shape = tuple(4 * k * dilation + 4 * stride + draw(st.integers(8, 14)) for k in kernel_shape)
    rule = draw(st.sampled_from([rule for rule in NUMPY_PAD if rule != "constant"]))
    return {"kernel": kernel, "stride": stride, "dilation": dilation, "pads": pads, "rule": rule, "shape": shape}


@settings(max_examples=60)
@given(boxes())
def test_recovers_what_it_was_not_told(asked: dict[str, Any]) -> None:
    kernel, stride, dilation, pads, rule = (asked[n] for n in ("kernel", "stride", "dilation", "pads", "rule"))

    def f(x: np.ndarray) -> np.ndarray:
        return filtered(x, kernel, stride, dilation, pads, rule)

    found = identify(f, asked["shape"], dtypes=())
    assert found.is_convolution, found.difference
    np.testing.assert_allclose(found.kernel, kernel, atol=1e-9)
    assert found.dilation == (dilation,) * kernel.ndim
    assert found.stride == (stride,) * kernel.ndim
    assert found.anchor == tuple(low for low, _ in pads)
    for i, (low, high) in enumerate(pads):
        # The last window may end before the padding does.
        spare = (asked["shape"][i] + low + high - (kernel.shape[i] - 1) * dilation - 1) % stride
        assert found.padding[i] == (low, high - spare)
        for side, width in enumerate((low, high - spare)):
            name, others = found.boundary[i][side], found.others[i][side]
            assert rule in (name, *others) if width > 0 else name == "valid"
    x = np.random.default_rng(1).standard_normal(asked["shape"])
    np.testing.assert_allclose(found.to_convolution()(x), f(x), atol=1e-8)


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap", "constant"])
@pytest.mark.parametrize("name", ["correlate", "convolve"])
def test_scipy(name: str, mode: str) -> None:
    k = np.arange(1.0, 26).reshape(5, 5)
    rules = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "zero"}
    found = identify(lambda x: getattr(ndimage, name)(x, k, mode=mode), (24, 25), kernel=k)
    assert found.boundary == ((rules[mode],) * 2,) * 2
    assert found.flip == (name == "convolve")
    np.testing.assert_allclose(found.kernel, k if name == "correlate" else k[::-1, ::-1])
    assert found.dtypes is not None
    assert found.dtypes["uint8"] == "uint8, wrapped"
    assert found.dtypes["float32"] == "float32"


def test_scipy_has_one_name_for_two_rules() -> None:
    """SciPy 1.17.1: grid-mirror, which it calls a synonym of reflect, is another rule in vectorized_filter."""
    vectorized = getattr(ndimage, "vectorized_filter", None)
    if vectorized is None:
        pytest.skip("this SciPy has no vectorized_filter")
    k = np.arange(1.0, 26).reshape(5, 5)
    one = identify(lambda x: ndimage.correlate(x, k, mode="grid-mirror"), (24, 25))
    other = identify(
        lambda x: vectorized(x, lambda v, axis: (v * k).sum(axis), size=k.shape, mode="grid-mirror"), (24, 25)
    )
    assert one.boundary == (("symmetric", "symmetric"),) * 2
    if scipy.__version__ == "1.17.1":
        assert other.boundary == (("reflect", "reflect"),) * 2
    np.testing.assert_allclose(one.kernel, other.kernel)


def test_constants_offsets_and_scales() -> None:
    k = [1.0, 2, 4]
    found = identify(lambda x: ndimage.correlate1d(x, k, mode="constant", cval=5.0) - 3, 24)
    assert found.boundary == (("constant:5.0", "constant:5.0"),)
    assert found.offset == pytest.approx(-3)
    x = np.random.default_rng(0).standard_normal(24)
    np.testing.assert_allclose(found.to_convolution()(x) - 3, ndimage.correlate1d(x, k, mode="constant", cval=5) - 3)
    scaled = identify(lambda x: (x / 255 if x.dtype == np.uint8 else x).astype(float), 24)
    assert scaled.dtypes is not None
    assert scaled.dtypes["uint8"] == "float64, times 1/255"


ROUNDED = {
    "uint8, rounded halves to even": lambda e: np.rint(e),
    "uint8, rounded halves up": lambda e: np.floor(e + 0.5),
    "uint8, rounded towards 0": np.trunc,
}


@pytest.mark.parametrize("rule", ROUNDED)
def test_rounding_is_named(rule: str) -> None:
    def f(x: np.ndarray) -> np.ndarray:
        y = ndimage.correlate1d(x.astype(float), [0.25, 0.25, 0.5], mode="wrap")
        return ROUNDED[rule](y).astype(x.dtype) if x.dtype.kind in "iu" else y

    found = identify(f, 200)
    assert found.dtypes is not None
    assert found.dtypes["uint8"] == rule


def test_what_is_no_convolution_says_where() -> None:
    line = 24
    assert "f(a + b) is not" in identify(lambda x: ndimage.median_filter(x, 3), line).difference
    assert "f(2a) is not 2 f(a)" in identify(lambda x: x**2, line).difference
    ramp = identify(lambda x: x * np.arange(line), line)
    assert ramp.difference.startswith("f does not commute with shifts; axis 0: a slice moved from 11 to 12")
    assert not ramp.is_convolution
    assert ramp.kernel is None

    def border(x: np.ndarray) -> np.ndarray:
        y = ndimage.correlate1d(x, [1, 2, 4])
        y[0] = 0
        return y

    found = identify(border, line)
    np.testing.assert_allclose(found.kernel, [1, 2, 4])
    assert found.boundary == (("unknown", "symmetric"),)
    assert "axis 0, low side: no rule agrees; f is 0 at (0,)" in found.difference
    with pytest.raises(ProblemError, match="is not a convolution: axis 0, low side"):
        found.to_convolution()

    def inner(x: np.ndarray) -> np.ndarray:
        y = ndimage.correlate1d(x, [1, 2, 4])
        y[8] = 0
        return y

    assert "at (8,)" in identify(inner, line).difference


def test_report() -> None:
    found = identify(lambda x: ndimage.correlate1d(x, [1, 2, 4]), 24, kernel=[1, 2, 4])
    assert "kernel    3, the one given, not turned\n[1. 2. 4.]" in str(found)
    assert "both sides: symmetric" in str(found)
    assert "c b a | a b c d | d c b" in found._repr_html_()
    data = json.loads(found.to_json())
    assert data["kernel"] == [1, 2, 4]
    assert data["is_convolution"] is True
    assert data["boundary"] == [["symmetric", "symmetric"]]


def test_tiny_taps_tell_rules_apart() -> None:
    for rule in ("wrap", "symmetric", "zero"):
        found = identify(Convolution([1e-8, 1, 1e-8], boundary=rule), 24, dtypes=())
        assert found.is_convolution
        assert rule in (found.boundary[0][0], *found.others[0][0])


def test_own_layers_and_complex_numbers() -> None:
    k = np.array([1 + 1j, 2, 3 - 1j])
    found = identify(Convolution(k, boundary="wrap"), 24, kernel=k, dtype=complex, dtypes=())
    np.testing.assert_allclose(found.kernel, k[::-1])
    assert found.flip is True
    correlated = Convolution(k, flip=False, boundary="wrap")
    assert identify(correlated, 24, kernel=k, dtype=complex, dtypes=()).flip is False
    x = np.random.default_rng(0).standard_normal(24)
    np.testing.assert_allclose(found.to_convolution()(x), Convolution(k, boundary="wrap")(x))
    assert json.loads(found.to_json())["kernel"][0] == [3, -1]


def test_torch_modules() -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Conv2d(1, 1, 3, stride=2, padding=1, padding_mode="circular")
    found = identify(layer, (1, 1, 24, 24), kernel=layer.weight.detach().numpy())
    np.testing.assert_allclose(found.kernel, layer.weight.detach()[0, 0].numpy(), atol=1e-6)
    assert found.stride == (2, 2)
    assert found.boundary == (("wrap", "valid"),) * 2
    assert found.flip is False
    assert found.offset == pytest.approx(layer.bias.item(), abs=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: identify(3, 24), ProblemError, "f=3 can not be called"),
        (lambda: identify(lambda x: x, 24, dtype=int), DtypeError, "floating or complex"),
        (lambda: identify(lambda x: x, (1, 1)), GeometryError, r"shape \(1, 1\) has no axis"),
        (lambda: identify(lambda x: x, 3), GeometryError, "at least 4 samples"),
        (lambda: identify(lambda x: np.repeat(x, 4), 24), GeometryError, "24 samples and 96 outputs"),
        (lambda: identify(lambda x: x[None], 24), GeometryError, "the same rank"),
        (lambda: identify(lambda x: x[:0], 24), GeometryError, "empty"),
        (lambda: identify(lambda x: x * 0, 24), ProblemError, "ignores its input"),
        (lambda: identify(lambda x: x * np.nan, 24), ProblemError, r"is nan at \(0,\)"),
        (lambda: identify(lambda x: x[x > 0], 24), GeometryError, "empty|does not depend on values"),
        (lambda: identify(lambda x: x + np.random.default_rng().random(24), 24), ProblemError, "is random"),
        (lambda: identify(lambda x: x[1] @ x, 24), ProblemError, "raises ValueError on zeros"),
        (lambda: identify(lambda x: (x, x), 24), ProblemError, "not one array"),
        (lambda: identify(np.cumsum, 24), GeometryError, "at least 13 samples along axis 0 of 24"),
        (lambda: identify(lambda x: ndimage.uniform_filter1d(x, 21), 24), GeometryError, "at least 44 samples|of 24"),
    ],
)
def test_what_is_wrong_is_said(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_the_table_of_other_libraries_names_the_finding() -> None:
    page = (Path(__file__).parents[3] / "docs" / "other_libraries.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) >= 40
    found = page.partition("## Names that promise something else")[2].partition("##")[0]
    assert (
        'vectorized_filter(x, sum of k, mode="grid-mirror")`: its name stands for `symmetric`, it is `reflect`' in found
    )


def test_the_table_is_what_identify_says_today() -> None:
    """Only with the versions that it was made with."""
    for module in ("torch", "cv2", "skimage", "astropy", "dask_image"):
        pytest.importorskip(module)
    script = runpy.run_path(str(Path(__file__).parents[3] / "docs" / "make_other_libraries.py"))
    page = script["PAGE"].read_text()
    if script["versions"]() not in page:
        pytest.skip("other versions than those of the table")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in script["cases"]():
            assert script["row"](case, script["found"](case)) in page
