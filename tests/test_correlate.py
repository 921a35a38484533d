"""The face: what `correlate`, `convolve` and `Convolution` accept, give, keep and refuse."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import faltung as ft

X = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)


def photo(rows: int = 60, columns: int = 70) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, columns, 3)).astype(np.uint8)


# dtypes: three are visible


@pytest.mark.parametrize(
    ("dtype", "kernel", "expected"),
    [
        ("f4", np.ones(3), "f4"), ("f8", np.ones(3, "f4"), "f8"), ("f2", np.ones(3), "f2"), ("f4", np.ones(3, int), "f4"),
        ("u1", np.ones(3), "f4"), ("i2", np.ones(3, "f4"), "f4"), ("i4", np.ones(3, "f4"), "f8"),
        ("u1", np.ones(3, "i8"), "i4"), ("i2", np.ones(3, "u1"), "i4"), ("i4", np.ones(3, "i1"), "i8"),
        ("?", np.ones(3, int), "i4"), ("c8", np.ones(3), "c8"), ("f4", np.ones(3, complex), "c8"),
        ("f8", np.ones(3, "c8"), "c16"), (">f4", np.ones(3), "f4"),
    ],
)  # fmt: skip
def test_the_kernel_decides_the_kind_never_the_precision(dtype, kernel, expected) -> None:
    got = ft.correlate(np.ones(5, dtype), kernel, boundary="wrap")
    assert got.dtype == np.dtype(expected)
    assert (got == 3).all()


def test_eight_bit_sums_do_not_wrap() -> None:
    assert ft.correlate(np.full(4, 200, np.uint8), [1, 1, 1]).tolist() == [600] * 4


def test_dtype_input_rounds_half_to_even_and_saturates() -> None:
    x = np.array([1, 3, 200, 255, 0], np.uint8)
    assert ft.correlate(x, [0.5], dtype="input").tolist() == [0, 2, 100, 128, 0]
    assert ft.correlate(x, [2], dtype="input").tolist() == [2, 6, 255, 255, 0]
    assert ft.correlate(x, [-1.0], dtype="input").tolist() == [0] * 5
    assert ft.correlate(np.array([1.0, np.nan, np.inf, -np.inf]), [1.0], dtype=np.int64).tolist() == [
        1, 0, 2**63 - 1, -(2**63),
    ]  # fmt: skip


def test_a_wider_dtype_computes_in_it() -> None:
    x = np.array([1.0, 2.0**-40, -1.0], np.float32)
    assert ft.correlate(x, [1.0, 1.0, 1.0], boundary="zero")[1] == 0
    assert ft.correlate(x, [1.0, 1.0, 1.0], boundary="zero", dtype=np.float64)[1] == 2.0**-40


def test_complex_kernels_are_conjugated_by_correlate_alone() -> None:
    assert ft.correlate([1 + 0j], [1j]).tolist() == [-1j]
    assert ft.convolve([1 + 0j], [1j]).tolist() == [1j]


@pytest.mark.parametrize("kernel_dtype", ["i8", "u8"])
def test_overflow_is_excluded_or_refused(kernel_dtype) -> None:
    kernel = np.array([3, 3], kernel_dtype)
    assert ft.correlate(np.array([2**60, 0]), kernel, boundary="zero").tolist() == [3 * 2**60, 3 * 2**60]
    with pytest.raises(ft.errors.DtypeError, match=r"overflow.*dtype"):
        ft.correlate(np.array([2**62, 2**62]), kernel)


def test_boundary_constants_count_for_overflow() -> None:
    with pytest.raises(ft.errors.DtypeError, match="overflow"):
        ft.correlate(np.zeros(3, np.uint8), [1, 1, 1], boundary="constant:2000000000")


# axes, banks, out


def test_axes_carry_the_others_along() -> None:
    rgb, kernel = photo(), np.arange(15.0).reshape(3, 5)
    got = ft.correlate(rgb, kernel, axes=(0, 1))
    for c in range(3):
        np.testing.assert_array_equal(got[..., c], ft.correlate(np.ascontiguousarray(rgb[..., c]), kernel))


def test_axes_order_is_the_kernels() -> None:
    x = np.random.default_rng(1).standard_normal((20, 30))
    kernel = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(ft.correlate(x, kernel, axes=(1, 0)), ft.correlate(x, kernel.T))


def test_a_bank_is_its_kernels_one_by_one() -> None:
    rgb = photo(200, 300)
    kernels = [np.random.default_rng(i).standard_normal((5, 3)) for i in range(4)]
    got = ft.correlate(rgb, kernels, axes=(0, 1), boundary="reflect")
    assert got.shape == (4, 200, 300, 3)
    for one, kernel in zip(got, kernels, strict=True):
        np.testing.assert_array_equal(one, ft.correlate(rgb, kernel, axes=(0, 1), boundary="reflect"))


def test_a_bank_of_complex_kernels() -> None:
    x = np.random.default_rng(1).standard_normal(50) * (1 + 2j)
    kernels = [np.array([1j, 2, 3]), np.array([1, 1, 1 - 1j])]
    got = ft.convolve(x, kernels)
    for one, kernel in zip(got, kernels, strict=True):
        np.testing.assert_array_equal(one, ft.convolve(x, kernel))


def test_lists_are_kernels_and_lists_of_arrays_are_banks() -> None:
    assert ft.correlate([1.0, 2.0], [1.0]).shape == (2,)
    assert ft.correlate([1.0, 2.0], [np.ones(1)]).shape == (1, 2)


@pytest.mark.parametrize("order", ["C", "F"])
def test_out_is_filled_and_returned(order) -> None:
    x = np.random.default_rng(2).standard_normal((40, 50)).astype(np.float32)
    out = np.full((40, 50), np.nan, np.float32, order=order)
    assert ft.correlate(x, np.ones((3, 3)), out=out) is out
    np.testing.assert_array_equal(out, ft.correlate(x, np.ones((3, 3))))


def test_out_may_be_the_input_or_overlap_it() -> None:
    x = np.random.default_rng(2).standard_normal((300, 200))
    expected = ft.correlate(x, np.ones((3, 3)))
    for shift in (0, 1):
        memory = np.zeros((301, 200))
        memory[:300] = x
        ft.correlate(memory[:300], np.ones((3, 3)), out=memory[shift : 300 + shift])
        np.testing.assert_array_equal(memory[shift : 300 + shift], expected)


def test_outs_dtype_is_a_requested_dtype() -> None:
    out = np.empty((2, 3), np.uint8)
    assert ft.correlate(X, [[100.0]], out=out).tolist() == [[100, 200, 255], [255, 255, 255]]


def test_a_scalar_is_an_array_of_no_axes() -> None:
    assert ft.correlate(np.float32(3), np.float64(2)) == 6


# Convolution


def test_a_convolution_describes_itself_and_pickles() -> None:
    c = ft.Convolution(np.ones((3, 3)), boundary="wrap", stride=2)
    assert "x[stride·j - l] k[l]" in repr(c)
    assert "boundary='wrap'" in repr(c)
    assert "+ l" in ft.Convolution([1.0], flip=False).formula
    again = pickle.loads(pickle.dumps(c))
    x = np.random.default_rng(0).standard_normal((9, 9))
    np.testing.assert_array_equal(again(x), c(x))


def test_the_kernel_is_a_read_only_copy() -> None:
    kernel = np.ones(3)
    c = ft.Convolution(kernel)
    kernel[:] = 5
    assert c([1.0, 1.0, 1.0]).tolist() == [3, 3, 3]
    assert not c.kernel.flags.writeable


def test_explain_names_what_runs() -> None:
    text = ft.Convolution(np.ones((5, 5)), boundary="reflect").plan((300, 400), np.uint8).explain()
    for part in (
        "x[j - l]",
        "(300, 400) uint8",
        "5 x 5",
        "float32",
        "reflect|reflect",
        "direct",
        "error bound",
        "signature",
    ):
        assert part in text


def test_the_error_bound_is_the_derivation_of_the_docstring() -> None:
    plan = ft.Convolution(np.full(4, 0.5)).plan(10, np.float32)
    u = 2.0**-24
    # Four taps, and the roundings of input and kernel; products that are not fused round too.
    n = 6 if "fused" in plan.explain() else 7
    assert plan.error_bound == pytest.approx(n * u / (1 - n * u) * 2.0, rel=1e-5)
    assert ft.Convolution([1, 2]).plan(10, np.int16).error_bound == 0


def test_signatures_tell_arithmetic_apart() -> None:
    c = ft.Convolution(np.ones((3, 3)))
    assert c.plan((50, 60)).signature == ft.Convolution(2 * np.ones((3, 3))).plan((50, 60)).signature
    assert c.plan((50, 60)).signature != c.plan((50, 61)).signature
    assert c.plan((50, 60)).signature != c.plan((50, 60), np.float64).signature


def test_a_plan_is_for_its_shape_and_dtype() -> None:
    plan = ft.Convolution([1.0]).plan(5)
    with pytest.raises(ft.errors.GeometryError, match=r"this plan is for .*\(5,\).*was given \(6,\)"):
        plan(np.zeros(6, np.float32))


# what is refused, and how


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ft.correlate(X, np.ones((3, 3)), boundary="mirror"), "BoundaryError", r"'mirror'.*reflect"),
        (lambda: ft.correlate(X, np.ones((3, 3)), boundary="nonsense"), "BoundaryError", r"(?s)nonsense.*antisymmetric"),
        (lambda: ft.correlate(X, np.ones(3)), "GeometryError", r"axes="),
        (lambda: ft.correlate(X, np.ones((3, 3, 3))), "GeometryError", r"kernel has 3 axes and the array has 2"),
        (lambda: ft.correlate(X, np.ones((4, 4)), mode="valid"), "GeometryError", r"4 samples of axis 0.*has 2.*same"),
        (lambda: ft.correlate(X, np.ones((3, 3)), stride=0), "GeometryError", "stride"),
        (lambda: ft.correlate(X, np.ones((3, 3)), dilation=1.5), "GeometryError", "dilation"),
        (lambda: ft.correlate(X, np.ones((3, 3)), mode="some"), "GeometryError", r"'some'.*'same'"),
        (lambda: ft.correlate(X, np.ones((3, 3)), anchor=3), "GeometryError", "anchor"),
        (lambda: ft.correlate(X, np.ones((3, 3)), axes=(0, 0)), "GeometryError", "axes"),
        (lambda: ft.correlate(X, np.ones((3, 3)), threads=0), "GeometryError", "threads must be a positive integer"),
        (lambda: ft.correlate(X, np.ones((3, 3)), padding=-1), "GeometryError", "padding"),
        (lambda: ft.correlate(X, [np.ones((3, 3)), np.ones((1, 1))]), "GeometryError", "kernels of one shape"),
        (lambda: ft.correlate(X.astype(object), np.ones((3, 3))), "DtypeError", "object"),
        (lambda: ft.correlate(X.astype(np.longdouble), np.ones((3, 3))), "DtypeError", "longdouble|float128"),
        (lambda: ft.correlate(np.ma.masked_array(X, X > 2), np.ones((3, 3))), "DtypeError", "lose its mask"),
        (lambda: ft.correlate(X * 1j, np.ones((3, 3)), dtype=float), "DtypeError", "complex"),
        (lambda: ft.correlate(X, np.ones((3, 3)), boundary=("constant", 1j)), "BoundaryError", "is complex"),
        (lambda: ft.correlate(X * 1.0, np.ones((3, 3), complex), boundary=("constant", 1j)), "BoundaryError", "convert the input"),
        (lambda: ft.correlate(X, np.ones((3, 3), int), boundary="constant:0.5"), "BoundaryError", "0.5 is no int32"),
        (lambda: ft.correlate(X, np.ones((3, 3)), out=np.empty((3, 3), np.float32)), "GeometryError", r"out must .*\(2, 3\)"),
        (lambda: ft.correlate(X, np.ones((3, 3)), out=[1]), "GeometryError", "out must be an array"),
        (lambda: ft.correlate(X, np.ones((3, 3)), out=np.broadcast_to(np.float32(0), (2, 3))), "GeometryError", "read-only"),
        (lambda: ft.correlate(np.zeros((0, 3)), np.ones((1, 1)), padding=1, boundary="edge"), "BoundaryError", "axis"),
    ],
)  # fmt: skip
def test_refusals_say_what_and_how(call, error, text) -> None:
    with pytest.raises(getattr(ft.errors, error), match=text):
        call()


def test_every_refusal_is_a_value_error_and_a_faltung_error() -> None:
    with pytest.raises(ValueError, match="stride"):
        ft.correlate(X, np.ones((3, 3)), stride=0)
    with pytest.raises(ft.FaltungError, match="stride"):
        ft.correlate(X, np.ones((3, 3)), stride=0)


# imports


@pytest.mark.parametrize("module", ["numpy", "scipy", "llvmlite", "PIL", "typer"])
def test_import_faltung_is_light(module) -> None:
    code = f"import faltung, sys; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_is_what_can_be_had() -> None:
    assert len(ft.__all__) <= 16
    assert all(getattr(ft, name) is not None for name in ft.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ft.nonsense
