"""Three dtypes are visible: input, accumulator, output. The kernel decides the kind, never the precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from faltung.errors import DtypeError

Kind = Literal["integer", "real", "complex"]

INT32, INT64 = np.dtype(np.int32), np.dtype(np.int64)
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
COMPLEX64, COMPLEX128 = np.dtype(np.complex64), np.dtype(np.complex128)


@dataclass(frozen=True, slots=True)
class Dtypes:
    """What is read, what weighs it, what sums are kept in, and what is written."""

    input: np.dtype
    kernel: np.dtype
    accumulate: np.dtype
    output: np.dtype

    @property
    def rounds(self) -> bool:
        """Whether sums are rounded (half to even, then saturated) because the output is an integer and they are not."""
        return kind_of(self.accumulate) != "integer" and kind_of(self.output) == "integer"


def resolve(input: np.dtype, kernel: np.dtype, requested: np.dtype | Literal["input"] | None) -> Dtypes:  # noqa: A002
    """Choose the accumulator and the output for an input, a kernel and, perhaps, a requested output.

    With `requested` None (bool counts as uint8, f16 and bfloat16 are summed in f32 and written as they came):
      integer kernel:  8/16-bit integers -> int32, wider integers -> int64, float and complex input stay as they are;
      real kernel:     8/16-bit integers -> f32, wider integers -> f64, float and complex input stay as they are;
      complex kernel:  8/16-bit integers, f16, bfloat16, f32 and c64 -> c64, the rest -> c128.
    `requested` is an output dtype, or "input" for the input's (uint8 for bool). Sums are widened where it is wider:
      integer sums and an integer request that int32 cannot hold -> int64; a narrower request saturates;
      integer sums and a real or complex request -> f32 or c64 for 8/16-bit input and a request no wider than that, else
      f64 or c128; float sums and a wider real or complex request -> that request;
      float sums and an integer request stay, are rounded half to even and saturate.
    Accumulator and output are in native byte order. Nothing here depends on values; see `check_overflow`.
    Raises DtypeError for extended precision, objects, structures, strings and times, for a request of bool, and for a
    complex result requested as real.

    >>> chosen = resolve(np.dtype("u1"), np.dtype("f8"), None)
    >>> chosen.accumulate, chosen.output
    (dtype('float32'), dtype('float32'))
    >>> chosen = resolve(np.dtype("u1"), np.dtype("f8"), "input")
    >>> chosen.accumulate, chosen.output, chosen.rounds
    (dtype('float32'), dtype('uint8'), True)
    """
    source, kinds = _arithmetic(input, "the input"), (kind_of(input, "the input"), kind_of(kernel, "the kernel"))
    natural = _natural(source, *kinds)
    if requested is None:
        keeps_half = kinds[0] == "real" and source.itemsize == 2 and natural == FLOAT32
        return Dtypes(input, kernel, natural, source if keeps_half else natural)
    output = source if isinstance(requested, str) and requested == "input" else _requested(requested)
    if kind_of(natural) == "complex" and kind_of(output) != "complex":
        msg = f"the result is complex (input {input}, kernel {kernel}), but dtype={output} was requested; "
        raise DtypeError(msg + f"request {natural}, or take the real part of the result")
    return Dtypes(input, kernel, _widen(natural, output, source), output)


def check_overflow(dtypes: Dtypes, kernel_norm1: int, max_abs: int | None) -> bool:
    """Tell whether integer sums are certain not to overflow; sums in floating point always are.

    Certain is max|x| * sum|w| <= the accumulator's maximum, in exact integers. max|x| is `max_abs`, the largest |x|
    that is read, constants beyond the edges included; or, where that is None, the bound of the input's dtype.
    `kernel_norm1` is sum|w|.
    An odd boundary rule reads values beyond the dtype's bound: multiply the norm by the growth of the samples.
    Returns False where the dtype cannot exclude overflow and `max_abs` is None, so that the caller scans.
    Raises DtypeError where `max_abs` cannot exclude it either. Source: |sum w*x| <= max|x| * sum|w|, which holds for
    every partial sum too.

    >>> check_overflow(resolve(np.dtype("u1"), np.dtype("i1"), None), 9, None)
    True
    >>> check_overflow(resolve(np.dtype("i8"), np.dtype("i1"), None), 9, None)
    False
    """
    if kind_of(dtypes.accumulate) != "integer":
        return True
    source = np.iinfo(_arithmetic(dtypes.input, "the input"))
    limit = int(np.iinfo(dtypes.accumulate).max)
    if max_abs is None:
        return max(-int(source.min), int(source.max)) * int(kernel_norm1) <= limit
    product = int(max_abs) * int(kernel_norm1)
    if product <= limit:
        return True
    msg = f"{dtypes.accumulate} sums may overflow: max|x| * sum|w| = {max_abs} * {kernel_norm1} = {product} > {limit}; "
    wider = ", or a wider input, x.astype(np.int32)" if dtypes.accumulate == INT32 else ""
    raise DtypeError(msg + f"pass dtype=np.float64{wider}")


def kind_of(dtype: np.dtype, what: str = "the array") -> Kind:
    """Tell integers (bool among them), reals and complex numbers apart; DtypeError for every other dtype.

    >>> kind_of(np.dtype(bool)), kind_of(np.dtype("f2")), kind_of(np.dtype("c8"))
    ('integer', 'real', 'complex')
    """
    if dtype.kind in "biu":
        return "integer"
    if dtype.name == "bfloat16" or (dtype.kind == "f" and dtype.itemsize in (2, 4, 8)):
        return "real"
    if dtype.kind == "c" and dtype.itemsize in (8, 16):
        return "complex"
    msg = f"{what} has dtype {dtype}, but only bool, integers, f16, bfloat16, f32, f64, c64 and c128 can be convolved; "
    raise DtypeError(msg + f"convert it first: x.astype(np.{'complex128' if dtype.kind == 'c' else 'float64'})")


def _arithmetic(dtype: np.dtype, what: str) -> np.dtype:
    kind_of(dtype, what)
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")


def _natural(source: np.dtype, source_kind: Kind, kernel_kind: Kind) -> np.dtype:
    """Choose the accumulator when no output was requested."""
    if "complex" in (source_kind, kernel_kind):
        return _complex(source)
    if source_kind == "real":
        return _at_least_f32(source)
    if kernel_kind == "real":
        return FLOAT32 if source.itemsize <= 2 else FLOAT64
    return INT32 if source.itemsize <= 2 else INT64


def _at_least_f32(dtype: np.dtype) -> np.dtype:
    return FLOAT32 if dtype.itemsize == 2 else dtype


def _complex(dtype: np.dtype) -> np.dtype:
    if dtype.kind == "c":
        return dtype
    return COMPLEX64 if dtype.itemsize <= 2 or dtype == FLOAT32 else COMPLEX128


def _requested(requested: np.dtype | str) -> np.dtype:
    try:
        dtype = np.dtype(requested)
    except (TypeError, ValueError):
        msg = f"dtype={requested!r} is no dtype; pass for example np.float32, or 'input' for the input's own"
        raise DtypeError(msg) from None
    if dtype.kind == "b":
        raise DtypeError("dtype=bool was requested, but a sum has no truth value; request uint8, or compare the result")
    return _arithmetic(dtype, "the requested output")


def _widen(natural: np.dtype, output: np.dtype, source: np.dtype) -> np.dtype:
    """Raise the accumulator where the requested output is wider."""
    if kind_of(output) == "integer":
        return INT64 if natural == INT32 and not np.can_cast(output, INT32) else natural
    wanted = _at_least_f32(output) if kind_of(output) == "real" else output
    if kind_of(natural) == "integer":
        natural = FLOAT32 if source.itemsize <= 2 else FLOAT64
    return np.result_type(natural, wanted)
