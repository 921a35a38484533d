import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faltung.errors import DtypeError
from faltung.problem.dtypes import check_overflow, kind_of, resolve

# The first draw of a session may be slow: it reads the constants of every imported module.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# The table of the design, one row per input: (accumulator, output) under an integer, a real and a complex kernel.
NATURAL = {
    "bool": ("i4 i4", "f4 f4", "c8 c8"),
    "i1": ("i4 i4", "f4 f4", "c8 c8"),
    "u1": ("i4 i4", "f4 f4", "c8 c8"),
    "i2": ("i4 i4", "f4 f4", "c8 c8"),
    "u2": ("i4 i4", "f4 f4", "c8 c8"),
    "i4": ("i8 i8", "f8 f8", "c16 c16"),
    "u4": ("i8 i8", "f8 f8", "c16 c16"),
    "i8": ("i8 i8", "f8 f8", "c16 c16"),
    "u8": ("i8 i8", "f8 f8", "c16 c16"),
    "f2": ("f4 f2", "f4 f2", "c8 c8"),
    "f4": ("f4 f4", "f4 f4", "c8 c8"),
    "f8": ("f8 f8", "f8 f8", "c16 c16"),
    "c8": ("c8 c8", "c8 c8", "c8 c8"),
    "c16": ("c16 c16", "c16 c16", "c16 c16"),
}
KERNELS = (("bool", "i1", "u2", "i8", "u8"), ("f2", "f4", "f8"), ("c8", "c16"))


def chosen(source: str, kernel: str, requested: object = None) -> str:
    found = resolve(np.dtype(source), np.dtype(kernel), requested)
    assert (found.input, found.kernel) == (np.dtype(source), np.dtype(kernel))
    return f"{found.accumulate.str[1:]} {found.output.str[1:]}"


@pytest.mark.parametrize("source", NATURAL)
@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_kernel_decides_the_kind_and_never_the_precision(source: str, kind: int, order: str) -> None:
    for kernel in KERNELS[kind]:
        swapped = np.dtype(source).newbyteorder(order)
        found = resolve(swapped, np.dtype(kernel).newbyteorder(order), None)
        accumulate, output = map(np.dtype, NATURAL[source][kind].split())
        assert (found.accumulate, found.output) == (accumulate, output), kernel
        assert found.accumulate.isnative
        assert found.output.isnative


@pytest.mark.parametrize(
    ("source", "kernel", "requested", "expected", "rounds"),
    [
        ("u1", "f8", "input", "f4 u1", True),
        ("bool", "f8", "input", "f4 u1", True),
        ("bool", "i1", "input", "i4 u1", False),
        ("u1", "i1", "input", "i4 u1", False),
        ("i4", "f4", "input", "f8 i4", True),
        ("f2", "f4", "input", "f4 f2", False),
        ("f4", "f8", "input", "f4 f4", False),
        ("c8", "f8", "input", "c8 c8", False),
        ("f4", "f4", "f8", "f8 f8", False),
        ("f8", "f4", "f4", "f8 f4", False),
        ("f2", "f4", "f4", "f4 f4", False),
        ("f2", "f4", "f8", "f8 f8", False),
        ("f4", "f4", "f2", "f4 f2", False),
        ("f4", "f4", "c8", "c8 c8", False),
        ("f8", "f4", "c8", "c16 c8", False),
        ("f4", "f4", "c16", "c16 c16", False),
        ("f4", "c8", "c16", "c16 c16", False),
        ("c16", "f4", "c8", "c16 c8", False),
        ("f4", "f4", "i2", "f4 i2", True),
        ("f8", "f4", "u8", "f8 u8", True),
        ("u1", "i1", "f4", "f4 f4", False),
        ("u1", "i1", "f2", "f4 f2", False),
        ("u1", "i1", "f8", "f8 f8", False),
        ("i4", "i1", "f4", "f8 f4", False),
        ("i4", "i1", "f8", "f8 f8", False),
        ("u1", "i1", "c8", "c8 c8", False),
        ("i8", "i1", "c8", "c16 c8", False),
        ("u1", "f4", "f8", "f8 f8", False),
        ("u1", "i1", "i8", "i8 i8", False),
        ("u1", "i1", "u4", "i8 u4", False),
        ("u1", "i1", "u8", "i8 u8", False),
        ("u1", "i1", "u2", "i4 u2", False),
        ("i8", "i1", "i2", "i8 i2", False),
        ("u8", "i1", "u8", "i8 u8", False),
    ],
)
def test_a_requested_output_raises_the_accumulator_where_it_is_wider(
    source: str, kernel: str, requested: str, expected: str, rounds: bool
) -> None:
    asked = requested if requested == "input" else np.dtype(requested)
    assert chosen(source, kernel, asked) == expected
    assert resolve(np.dtype(source), np.dtype(kernel), asked).rounds is rounds


def test_a_request_may_be_a_scalar_type_or_big_endian() -> None:
    assert chosen("f4", "f4", np.float64) == "f8 f8"
    assert resolve(np.dtype("f4"), np.dtype("f4"), np.dtype(">f8")).output.isnative
    assert resolve(np.dtype(">u2"), np.dtype("f4"), "input").output == np.dtype("=u2")


def test_bfloat16_is_summed_in_f32() -> None:
    bfloat16 = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    single, double = np.dtype("f4"), np.dtype("f8")
    for requested in (None, "input", bfloat16):
        found = resolve(bfloat16, double, requested)
        assert (found.accumulate, found.output) == (single, bfloat16)
    assert resolve(bfloat16, np.dtype("c16"), None).output == np.dtype("c8")
    assert resolve(single, bfloat16, None).output == single
    assert resolve(np.dtype("u1"), bfloat16, None).output == single
    found = resolve(double, double, bfloat16)
    assert (found.accumulate, found.output) == (double, bfloat16)


# --- what is refused, and what the message says -------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "fix"),
    [
        (np.dtype(object), "float64"),
        (np.dtype("U3"), "float64"),
        (np.dtype("S3"), "float64"),
        (np.dtype("M8[s]"), "float64"),
        (np.dtype("m8[s]"), "float64"),
        (np.dtype([("a", "f4")]), "float64"),
    ],
)
def test_other_dtypes_are_refused_with_a_fix(dtype: np.dtype, fix: str) -> None:
    single = np.dtype("f4")
    for what, arguments in {
        "the input": (dtype, single, None),
        "the kernel": (single, dtype, None),
        "the requested output": (single, single, dtype),
    }.items():
        message = (
            rf"^{what} has dtype {re.escape(str(dtype))}, but only bool, .* convert it first: x\.astype\(np\.{fix}\)"
        )
        with pytest.raises(DtypeError, match=message):
            resolve(*arguments)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="longdouble is float64 here")
@pytest.mark.parametrize(("wide", "fix"), [(np.longdouble, "float64"), (np.clongdouble, "complex128")])
def test_extended_precision_is_refused(wide: type, fix: str) -> None:
    with pytest.raises(DtypeError, match=rf"the input has dtype c?(float|complex)\d+, .* x\.astype\(np\.{fix}\)"):
        resolve(np.dtype(wide), np.dtype("f4"), None)


def test_a_complex_result_is_not_written_as_real() -> None:
    message = (
        r"the result is complex \(input float32, kernel complex64\), but dtype=float32 was requested; request complex64"
    )
    for requested in (np.dtype("f4"), "input"):
        with pytest.raises(DtypeError, match=message):
            resolve(np.dtype("f4"), np.dtype("c8"), requested)
    with pytest.raises(DtypeError, match=r"dtype=int32 was requested; request complex128, or take the real part"):
        resolve(np.dtype("c16"), np.dtype("f4"), np.dtype("i4"))


def test_bool_and_nonsense_are_no_output() -> None:
    with pytest.raises(DtypeError, match=r"dtype=bool was requested, but a sum has no truth value; request uint8"):
        resolve(np.dtype("u1"), np.dtype("u1"), np.dtype(bool))
    with pytest.raises(DtypeError, match=r"dtype='double-ish' is no dtype; pass for example np.float32, or 'input'"):
        resolve(np.dtype("u1"), np.dtype("u1"), "double-ish")


def test_kinds() -> None:
    assert [kind_of(np.dtype(d)) for d in ("bool", "u8", "f2", "f8", "c16")] == [
        "integer", "integer", "real", "real", "complex",
    ]  # fmt: skip
    with pytest.raises(DtypeError, match=r"the array has dtype object"):
        kind_of(np.dtype(object))


# --- overflow -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "kernel", "largest"),
    [
        ("bool", "i1", (2**31 - 1) // 255),
        ("u1", "i1", (2**31 - 1) // 255),
        ("i1", "i1", (2**31 - 1) // 128),
        ("i2", "i1", (2**31 - 1) // 32768),
        ("u2", "i1", (2**31 - 1) // 65535),
        ("i4", "i1", (2**63 - 1) // 2**31),
        ("u4", "i1", (2**63 - 1) // (2**32 - 1)),
        ("i8", "i1", 0),
        ("u8", "i1", 0),
    ],
)
def test_the_bound_of_the_dtype_is_tried_first(source: str, kernel: str, largest: int) -> None:
    dtypes = resolve(np.dtype(source), np.dtype(kernel), None)
    assert check_overflow(dtypes, largest, None)
    assert not check_overflow(dtypes, largest + 1, None)


def test_float_sums_never_overflow_so() -> None:
    assert check_overflow(resolve(np.dtype("u1"), np.dtype("f4"), None), 2**80, None)
    assert check_overflow(resolve(np.dtype("i8"), np.dtype("i8"), np.dtype("f8")), 2**80, 2**63)


@unhurried
@given(norm1=st.integers(1, 2**70), max_abs=st.integers(1, 2**64))
def test_the_scan_decides_exactly(norm1: int, max_abs: int) -> None:
    dtypes = resolve(np.dtype("i8"), np.dtype("i8"), None)
    if Fraction(max_abs, 2**63) * norm1 < 1:
        assert check_overflow(dtypes, norm1, max_abs)
    else:
        with pytest.raises(DtypeError, match=r"int64 sums may overflow"):
            check_overflow(dtypes, norm1, max_abs)


def test_the_scan_at_its_limit() -> None:
    dtypes = resolve(np.dtype("i8"), np.dtype("i8"), None)
    assert check_overflow(dtypes, 7, (2**63 - 1) // 7)
    with pytest.raises(DtypeError):
        check_overflow(dtypes, 7, (2**63 - 1) // 7 + 1)


def test_the_message_holds_the_arithmetic_and_the_fix() -> None:
    narrow = resolve(np.dtype("u1"), np.dtype("i4"), None)
    message = "int32 sums may overflow: max|x| * sum|w| = 200 * 20000000 = 4000000000 > 2147483647; "
    fix = "pass dtype=np.float64, or a wider input, x.astype(np.int32)"
    with pytest.raises(DtypeError, match=f"^{re.escape(message + fix)}$"):
        check_overflow(narrow, 20_000_000, 200)
    wide = resolve(np.dtype("i8"), np.dtype("i4"), None)
    message = "int64 sums may overflow: max|x| * sum|w| = 9223372036854775807 * 2 = 18446744073709551614 > "
    with pytest.raises(DtypeError, match=f"^{re.escape(message)}9223372036854775807; pass dtype=np.float64$"):
        check_overflow(wide, 2, 2**63 - 1)
