"""The stages of the compiled transforms: orders, factors, and what they give, against NumPy's transform."""

import math

import numpy as np
import pytest

from faltung.compiler import fourier_nest, kernels
from faltung.compiler import isa as isas
from faltung.compiler.elements import Element
from faltung.compiler.fourier_nest import AxisNest, LastNest
from faltung.compiler.fourier_stages import order, radices, twiddles, unit_roots
from faltung.compiler.isa import ISAS
from faltung.compiler.load_nest import LoadNest
from faltung.compiler.store_nest import StoreNest

needs_compiler = pytest.mark.skipif(not kernels.available(), reason="compiled kernels are off")
SIZES = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 768]


def transformed(nest: AxisNest, x: np.ndarray) -> np.ndarray:
    """Transform the rows of (2, size, columns), real and imaginary parts."""
    isa, (_, size, columns) = isas.host(), x.shape
    work = np.zeros(2 * size * columns + 2 * size * isa.vector_bytes // x.itemsize, x.dtype)
    tile = work[: 2 * size * columns].reshape(x.shape)
    tile[...] = x
    table, factors = np.zeros((1, 2), np.int64), twiddles(nest.stages, x.dtype)
    values = {
        "panels": 1, "panel_table": table.ctypes.data, "vectors": columns * x.itemsize // isa.vector_bytes,
        "pitch": columns * x.itemsize, "plane": size * columns * x.itemsize, "buffer": x.nbytes,
        "twiddles": factors.ctypes.data, "spectrum": 0, "bridge": 0,
    }  # fmt: skip
    block = np.array([values[name] for name in fourier_nest.FIELDS], np.int64)
    kernels.get(nest)(block.ctypes.data, work.ctypes.data, work.ctypes.data)
    return tile.copy()


@needs_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("size", SIZES)
def test_a_transform_is_numpys_in_another_order(size, dtype) -> None:
    stages, element = radices(size, isas.host()), Element.of(np.dtype(dtype))
    x = np.random.default_rng(size).standard_normal((2, size, 32)).astype(dtype)
    got = transformed(AxisNest(element, stages, False), x)
    want = np.fft.fft(x[0].astype(float) + 1j * x[1], axis=0)[order(stages)]
    error = np.abs(got[0] + 1j * got[1] - want).max() / math.sqrt(size)
    assert error < 40 * np.finfo(dtype).eps
    back = transformed(AxisNest(element, stages, True), got) / size
    assert np.abs(back - x).max() < 40 * np.finfo(dtype).eps


@pytest.mark.parametrize("isa", ISAS.values(), ids=lambda isa: isa.name)
def test_radices_multiply_to_the_size_and_orders_are_permutations(isa) -> None:
    for size in SIZES:
        stages = radices(size, isa)
        assert math.prod(stages) == size
        assert set(stages) <= {2, 3, 4, 8}
        assert sorted(order(stages)) == list(range(size))


@pytest.mark.parametrize("length", [2, 3, 4, 12, 96, 1024, 3 << 18])
def test_unit_roots_are_rounded_once(length) -> None:
    turns = np.unique(np.concatenate([np.arange(min(length, 2000)), [length - 1, 5 * length + 1]]))
    angle = -8 * np.arctan(np.longdouble(1)) * (turns % length) / length
    for dtype in ("f4", "f8"):
        got = unit_roots(turns, length, np.dtype(dtype))
        for part, want in ((got[:, 0], np.cos(angle)), (got[:, 1], np.sin(angle))):
            assert np.abs(part - want).max() <= 0.51 * np.finfo(dtype).eps
    eighths = unit_roots(np.arange(4), 4, np.dtype("f8"))
    np.testing.assert_array_equal(np.abs(eighths), [[1, 0], [0, 1], [1, 0], [0, 1]])


@needs_compiler
@pytest.mark.parametrize("name", ISAS)
def test_the_nests_compile_for_every_instruction_set(name) -> None:
    isa = ISAS[name]
    for dtype in ("f4", "f8"):
        element = Element.of(np.dtype(dtype))
        nests = [
            AxisNest(element, radices(96, isa), False), AxisNest(element, radices(64, isa), True),
            LastNest(element, radices(64, isa), True), LoadNest(Element("u", 8), element, 4),
            StoreNest(element, Element("i", 16)),
        ]  # fmt: skip
        for nest in nests:
            assert len(kernels.compile_object(nest, isa)) > 500


def test_names_tell_nests_apart() -> None:
    f32, f64 = Element("f", 32), Element("f", 64)
    nests = [AxisNest(e, s, i) for e in (f32, f64) for s in ((8, 4), (4, 8)) for i in (False, True)]
    nests += [LastNest(e, (8, 4), b) for e in (f32, f64) for b in (False, True)]
    nests += [LoadNest(e, f64, g) for e in (f32, f64) for g in (1, 2)]
    nests += [StoreNest(f64, e) for e in (f32, f64)]
    assert len({nest.name for nest in nests}) == len(nests)
