"""Window nests compile for every instruction set, compute by themselves, and stay inside the arrays they are given."""

import itertools
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.compiler.elements import Element
from faltung.compiler.sequence_nest import SequenceNest
from faltung.compiler.window_nest import WindowNest

sys.path.append(str(Path(__file__).parents[1] / "runtime"))
from guarded_windows import run_sequence, run_windows
from guards import Guards

pytestmark = pytest.mark.skipif(not kernels.available(), reason="compiled kernels are off")

F4, F8, I4, U1, U2 = Element("f", 32), Element("f", 64), Element("i", 32), Element("u", 8), Element("u", 16)
LINES = [((0, 3, 1, ()),), ((0, 1, 1, ()), (1, 2, 2, ((0, 5),)), (2, 2, 3, ((1, 1), (0, 9))))]


def nests():
    """Give every form with several operations and types."""
    types = [(F4, F4, F4), (F8, F8, F4), (U1, U2, U2), (U2, I4, I4)]
    for (load, element, store), (form, count, size) in itertools.product(
        types, [("apart", 1, 1), ("apart", 5, 4), ("rows", 3, 8), ("rows", 8, 8)]
    ):
        yield WindowNest("add", load, element, store, form, count, size, (), False, False, F4 if load != F8 else F8)
    for op, (element, levels) in itertools.product(("max", "min"), [(F4, I4), (U1, U1), (F8, Element("i", 64))]):
        yield WindowNest(op, element, levels, element, "rows", 7, 8)
        yield WindowNest(op, element, levels, element, "lanes", 0, 2, LINES[0])
    for line, size in itertools.product(LINES, (1, 4)):
        yield WindowNest("add", F4, F4, F4, "lanes", 0, size, line, True, True, F4)
    yield WindowNest("add", F4, F4, F4, "apart", 4, 2, (), True, True, F4, stream=True)


def child() -> None:
    guards = Guards()
    for guards.end in (True, False):
        run_sequence(guards)
        for nest in [*nests(), *pickle.loads(sys.stdin.buffer.read() if guards.end else b"\x80\x04].")]:
            print(nest, file=sys.stderr)
            run_windows(nest, guards)


def test_every_nest_stays_inside() -> None:
    """Those above, and those that this process's own tests have compiled."""
    compiled = [nest for nest in kernels.compiled() if isinstance(nest, WindowNest)]
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__], input=pickle.dumps(compiled), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]


@pytest.mark.parametrize("isa", isas.ISAS.values(), ids=lambda isa: isa.name)
def test_every_instruction_set_is_served(isa) -> None:
    for nest in (*nests(), SequenceNest()):
        assert kernels.compile_object(nest, isa)
    names = [nest.name for nest in nests()]
    assert len(set(names)) == len(names)


if __name__ == "__main__":
    child()
