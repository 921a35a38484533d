"""The nests of a layer's gradient by its weights compile for every instruction set, and stay inside their arrays."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.compiler.elements import Element
from faltung.compiler.gradient_nest import GradientNest
from faltung.compiler.gradient_rows import GradientRowNest
from faltung.compiler.pack_nest import PackNest

RUNTIME = Path(__file__).parents[1] / "runtime"
ELEMENTS = [Element("f", 32), Element("f", 64), Element("i", 32), Element("i", 64)]


def nests(isa, element):
    """Give nests with whole and narrow registers, with and without shared rows."""
    full, least = isa.vector_bytes // element.bytes, 16 // element.bytes
    for lanes in {full, least}:
        yield from (GradientNest(element, entries, vectors, lanes) for entries, vectors in ((4, 2), (6, 1)))
        yield from (GradientRowNest(element, rows, taps, lanes) for rows, taps in ((1, 8), (1, 1), (2, 3), (3, 3)))
        yield GradientRowNest(element, 1, 3, lanes, step=2)
        yield PackNest(element, lanes)


@pytest.mark.skipif(not kernels.available(), reason="compiled kernels are off")
@pytest.mark.parametrize("isa", isas.ISAS.values(), ids=lambda isa: isa.name)
def test_they_compile_for_every_instruction_set(isa) -> None:
    for nest in nests(isa, ELEMENTS[0]):
        assert kernels.compile_object(nest, isa)
        assert re.fullmatch(r"[a-z0-9_]+", nest.name)


@pytest.mark.skipif(not kernels.available(), reason="compiled kernels are off")
@pytest.mark.parametrize("element", ELEMENTS, ids=lambda element: element.name)
def test_names_are_unique(element) -> None:
    every = list(nests(isas.host(), element))
    assert len({nest.name for nest in every}) == len(every)


@pytest.mark.skipif(not kernels.available() or sys.platform != "linux", reason="needs compiled kernels and mprotect")
def test_they_stay_inside_and_count_every_pixel_once() -> None:
    """A child process, since a read beyond an array ends it."""
    child = "from test_gradient_nest import guarded; guarded()"
    paths = [str(RUNTIME), str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", f"import sys; sys.path[:0] = {paths!r}; {child}"],
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert int(done.stdout) > 500


def guarded() -> None:
    from guarded_gradient import run_gradient
    from guards import Guards

    guards, runs = Guards(), 0
    for element in ELEMENTS:
        for nest in nests(isas.host(), element):
            for guards.end in (True, False):
                runs += run_gradient(nest, guards)
    print(runs)
