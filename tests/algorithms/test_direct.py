"""What the direct method does beyond its sums, which `test_properties` checks."""

import subprocess
import sys

import numpy as np
import pytest

import faltung as ft
from faltung.algorithms.tap_loops import Form, pack
from faltung.compiler import kernels

needs_compiler = pytest.mark.skipif(not kernels.available(), reason="compiled kernels are off")

FLUSH = """
import ctypes, platform, sys
import llvmlite.binding as llvm
import numpy as np
import faltung as ft

if platform.machine() != "x86_64":
    sys.exit(0)
llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
ir = '''
declare void @llvm.x86.sse.ldmxcsr(ptr)
declare void @llvm.x86.sse.stmxcsr(ptr)
define void @set(ptr %p) { call void @llvm.x86.sse.ldmxcsr(ptr %p) ret void }
define void @get(ptr %p) { call void @llvm.x86.sse.stmxcsr(ptr %p) ret void }
'''
machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
library = llvm.JITLibraryBuilder().add_ir(ir).export_symbol("set").export_symbol("get").link(
    llvm.create_lljit_compiler(machine), "control")
call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
state = ctypes.c_uint32(0x1F80 | 0x8040)  # flush results and inputs that are subnormal
x = np.full(100, 1e-40, np.float32)
call(library["set"])(ctypes.addressof(state))
result = ft.correlate(x, np.ones(3, np.float32), threads=1)
after = ctypes.c_uint32()
call(library["get"])(ctypes.addressof(after))
state.value = 0x1F80
call(library["set"])(ctypes.addressof(state))
assert (after.value & 0x8040) == 0x8040, "the caller's setting was not restored"
assert (result == np.float32(1e-40) * 3).all(), result
"""


@needs_compiler
def test_another_librarys_flushing_of_subnormals_does_not_matter() -> None:
    result = subprocess.run([sys.executable, "-c", FLUSH], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_weights_are_packed_column_by_column() -> None:
    kernel = np.arange(12)
    assert pack(kernel, Form(2, 3, 2)).tolist() == [[[0, 3], [1, 4], [2, 5]], [[6, 9], [7, 10], [8, 11]]]
    folded = pack(np.arange(5), Form(1, 4, 2, 4))
    assert folded.tolist() == [[[0, 4], [1, 0], [2, 0], [3, 0]]]


@needs_compiler
def test_many_kernels_of_one_geometry_need_a_handful_of_objects() -> None:
    x = np.random.default_rng(0).standard_normal((300, 333)).astype(np.float32)
    ft.correlate(x, np.ones((7, 6)), algorithm="direct")
    before = len(kernels.compiled())
    for i in range(100):
        ft.correlate(x, np.random.default_rng(i).standard_normal((7, 6)))  # of full rank
    assert len(kernels.compiled()) == before
    for rows in range(4, 20):
        ft.correlate(x, np.ones((rows, 6 + rows)), algorithm="direct")
    assert len(kernels.compiled()) <= before + 6


def test_plans_share_nothing_that_a_thread_could_lose() -> None:
    c = ft.Convolution(np.ones((3, 3)))
    x = np.random.default_rng(0).standard_normal((40, 50))
    expected = c(x)
    for n in range(40):  # more shapes and strides than are kept
        c(np.zeros((40 + n, 50)))
        c(np.zeros((40, 60 + n))[:, :50])
    np.testing.assert_array_equal(c(x), expected)
