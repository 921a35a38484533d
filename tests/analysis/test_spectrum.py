"""The response is what happens to waves that are filtered; aliases are what a stride makes equal."""

import numpy as np
import pytest

from faltung import Convolution
from faltung.analysis.circulant import singular_values
from faltung.analysis.matrix import matrix
from faltung.analysis.spectrum import spectrum
from faltung.errors import GeometryError

RNG = np.random.default_rng(3)
FILTERS = [
    (Convolution(RNG.standard_normal(5), boundary="wrap"), (12,), (0.5,)),
    (Convolution(RNG.standard_normal((4, 3)), boundary="wrap", flip=False, dilation=(1, 2)), (6, 9), (0.5, 2.0)),
    (Convolution(RNG.standard_normal((2, 9)) + 1j, boundary="wrap", anchor=(0, 3)), (5, 4), (1.0, 3.0)),
    (Convolution(RNG.standard_normal((2, 2)) + 1j, boundary="wrap", flip=False), (5, 4), (1.0, 3.0)),
]


@pytest.mark.parametrize(("c", "shape", "spacing"), FILTERS, ids=str)
def test_every_wave_comes_out_multiplied_by_the_response(c, shape, spacing) -> None:
    s = spectrum(c, shape, spacing=spacing)
    places = np.meshgrid(*(np.arange(n) * h for n, h in zip(shape, spacing, strict=True)), indexing="ij")
    for index in np.ndindex(shape):
        turns = sum(f[i] * x for f, i, x in zip(s.frequencies, index, places, strict=True))
        wave = np.exp(2j * np.pi * turns)
        assert np.abs(c(wave) - s.response[index] * wave).max() <= 1e-12 * np.abs(c.kernel).sum()
    assert np.allclose(s.magnitude * np.exp(1j * s.phase), s.response)
    assert np.allclose(np.sort(s.magnitude.ravel())[::-1], singular_values(c, shape))
    assert all((np.diff(f) > 0).all() for f in s.frequencies)


def test_mode_and_padding_do_not_matter() -> None:
    want = spectrum(Convolution([1.0, 2.0, 5.0]), 16).response
    for options in ({"mode": "full"}, {"mode": "valid"}, {"padding": 4}, {"boundary": "constant:3"}, {"stride": 2}):
        assert np.array_equal(spectrum(Convolution([1.0, 2.0, 5.0], **options), 16).response, want)


def test_banks_and_layers_have_one_response_each() -> None:
    kernels = RNG.standard_normal((3, 5))
    bank = spectrum(Convolution(list(kernels)), 8)
    layer = spectrum(Convolution(kernels.reshape(3, 1, 5), channels=True), 8)
    assert bank.response.shape == (3, 8)
    assert layer.response.shape == (3, 1, 8)
    for k, one, two in zip(kernels, bank.response, layer.response[:, 0], strict=True):
        assert np.allclose(one, spectrum(Convolution(k), 8).response)
        assert np.array_equal(one, two)


@pytest.mark.parametrize(("shape", "stride"), [((12,), (3,)), ((8, 9), (2, 3)), ((6, 4), (1, 4))])
def test_aliases_are_waves_that_a_stride_makes_equal(shape, stride) -> None:
    c = Convolution(RNG.standard_normal((3,) * len(shape)), boundary="wrap", stride=stride)
    s = spectrum(c, shape, spacing=0.25)
    folded = s.aliases()
    kept = tuple(n // k for n, k in zip(shape, stride, strict=True))
    assert folded.response.shape == (*stride, *kept)
    places = np.meshgrid(*(np.arange(n) * 0.25 for n in shape), indexing="ij")
    fewer = np.meshgrid(*(np.arange(n) * 0.25 * k for n, k in zip(kept, stride, strict=True)), indexing="ij")
    for index in np.ndindex(folded.response.shape):
        row, column = index[: len(shape)], index[len(shape) :]
        f = [source[m, q] for source, m, q in zip(folded.sources, row, column, strict=True)]
        g = [own[q] for own, q in zip(folded.frequencies, column, strict=True)]
        wave, out = (
            np.exp(2j * np.pi * sum(a * b for a, b in zip(*p, strict=True))) for p in ((f, places), (g, fewer))
        )
        assert np.abs(c(wave) - folded.response[index] * out).max() < 1e-12
    assert all(np.abs(own).max() <= 2 / k + 1e-12 for own, k in zip(folded.frequencies, stride, strict=True))
    assert all(np.array_equal(source[0], own) for source, own in zip(folded.sources, folded.frequencies, strict=True))
    # The share of foreign energy in white noise, by its definition.
    power = np.abs(folded.response) ** 2
    own = power[(0,) * len(shape)]
    total = power.sum(axis=tuple(range(len(shape))))
    assert np.allclose(folded.leakage, 1 - own / total)


def test_a_perfect_low_pass_does_not_leak() -> None:
    n = 16
    keep = np.abs(np.fft.fftfreq(n)) < 0.24
    sinc = np.fft.fftshift(np.fft.ifft(keep).real)
    s = spectrum(Convolution(sinc, boundary="wrap", stride=2), n)
    assert s.aliases().leakage.max() < 1e-25 or s.aliases().leakage[1:].max() < 1e-25
    with pytest.raises(GeometryError, match="15 frequencies on axis 0 do not fall into groups of 2"):
        spectrum(Convolution(sinc, stride=2), 15).aliases()
    assert spectrum(Convolution(np.ones((2, 3)), stride=(5, 3))).aliases().response.shape[:2] == (5, 3)


def test_bochner() -> None:
    lag = np.arange(-40, 41)
    assert spectrum(Convolution(np.exp(-(lag**2) / 20))).is_nonnegative
    assert spectrum(Convolution(np.maximum(0, 1 - np.abs(lag) / 9.0))).is_nonnegative
    assert spectrum(Convolution([1j, 2.0, -1j])).is_nonnegative
    # A box's transform is a sinc, a derivative's is imaginary, and a shift breaks the symmetry.
    assert not spectrum(Convolution(np.ones(3))).is_nonnegative
    assert not spectrum(Convolution([1.0, 0.0, -1.0])).is_nonnegative
    assert not spectrum(Convolution([1.0, 4.0, 1.0], anchor=0)).is_nonnegative
    assert spectrum(Convolution([1.0, 2.0 - 1e-9, 1.0]), tolerance=1e-8).is_nonnegative
    assert not spectrum(Convolution([1.0, 2.0 - 1e-6, 1.0]), tolerance=1e-8).is_nonnegative
    assert not spectrum(Convolution([[1.0, 4.0, 1.0], [1.0, 1.0, 1.0]], axes=None)).is_nonnegative
    assert spectrum(Convolution([np.array([1.0, 2.0, 1.0]), np.array([0.0, 1.0, 0.0])])).is_nonnegative
    assert not spectrum(Convolution([np.array([1.0, 2.0, 1.0]), np.array([0.0, -1.0, 0.0])])).is_nonnegative


@pytest.mark.parametrize(("off", "want"), [(0.5, True), (2.5, False)])
def test_a_layer_is_a_covariance_if_its_matrices_are(off, want) -> None:
    kernel = np.zeros((2, 2, 3))
    kernel[0, 0] = kernel[1, 1] = [0.5, 2.0, 0.5]
    kernel[0, 1] = kernel[1, 0] = [0.0, off, 0.0]
    s = spectrum(Convolution(kernel, channels=True), 16)
    torus = Convolution(kernel, channels=True, boundary="wrap")
    assert s.is_nonnegative == want == (np.linalg.eigvalsh(matrix(torus, (2, 16)).toarray()).min() >= 0)
    assert not spectrum(Convolution(kernel[:1], channels=True)).is_nonnegative
    grouped = Convolution(np.full((2, 1, 1), 3.0), channels=True, groups=2)
    assert spectrum(grouped).is_nonnegative


def test_a_scalar_has_one_response() -> None:
    s = spectrum(Convolution(np.array(3.0)))
    assert s.response.shape == ()
    assert s.response == 3
    assert s.is_nonnegative


def test_printing_and_errors() -> None:
    s = spectrum(Convolution([0.25, 0.5, 0.25]), 4, spacing=0.1)
    assert repr(s) == (
        "<Spectrum of 4 frequencies up to 5 cycles per unit: magnitude 0 to 1, real and nowhere negative>"
    )
    with pytest.raises(GeometryError, match="spacing=0 for 1 filtered axes"):
        spectrum(Convolution([1.0]), spacing=0)
    with pytest.raises(GeometryError, match=r"shape=.* has 2 entries for 1 filtered axes"):
        spectrum(Convolution([1.0]), (3, 4))
