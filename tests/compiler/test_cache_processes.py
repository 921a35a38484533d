"""Many processes, damage, foreign objects and unusable folders: the answers stay right, with at most one warning."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import faltung
from faltung.compiler import cache, kernels
from faltung.compiler import isa as isas
from faltung.compiler.copy_nest import CopyNest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(not kernels.available(), reason="nothing is compiled here")

# Whole numbers, so that every sum is exact and the definition's answer must be met bit by bit.
WORK = """
import sys
import numpy as np
import faltung as ft
from faltung import definition
rng = np.random.default_rng(1)
cases = [
    ((20, 37), (3, 3), "f4", {}), ((70,), (5,), "f8", {"boundary": "wrap"}), ((20, 33), (5, 4), "u1", {}),
    ((9, 11, 3), (3, 3), "f4", {"axes": (0, 1)}), ((15, 40), (2, 3), "i2", {"stride": 2}),
]
def work():
    for shape, kernel_shape, dtype, options in cases:
        x, kernel = rng.integers(0, 9, shape).astype(dtype), rng.integers(-9, 9, kernel_shape)
        np.testing.assert_array_equal(ft.correlate(x, kernel, **options), definition.correlate(x, kernel, **options))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for kept objects, not made yet, and a process that has not warned yet."""
    monkeypatch.setenv("FALTUNG_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.delenv("FALTUNG_CACHE", raising=False)
    monkeypatch.setattr(cache, "_warned", False)
    cache._shrink_once.cache_clear()
    return tmp_path / "kept"


def entry(home: Path, key: bytes) -> Path:
    return home / f"{key.hex()}.o"


def leftovers(home: Path) -> list[str]:
    return [path.name for path in home.iterdir() if path.suffix != ".o"]


def python(
    script: str, home: Path, *, code_from: Path | None = None, **options: str
) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh process that shows every warning."""
    environment = {**os.environ, "FALTUNG_CACHE_DIR": str(home), "PYTHONWARNINGS": "always", **options}
    environment.pop("FALTUNG_CACHE", None) if "FALTUNG_CACHE" not in options else None
    if code_from is not None:
        environment["PYTHONPATH"] = str(code_from)
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def assert_worked(done: subprocess.CompletedProcess[str], warned: int) -> None:
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("RuntimeWarning") == warned, done.stderr


def test_eight_processes_start_on_an_empty_cache(home: Path) -> None:
    script = f"{WORK}\nprint('ready', flush=True)\nsys.stdin.readline()\nwork()\nprint('done')"
    environment = {**os.environ, "PYTHONWARNINGS": "always"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(8)
    ]  # fmt: skip
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    assert not home.exists()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, output, errors) == (0, "done\n", "")
    assert leftovers(home) == []
    names = [name for name, _ in cache.entries()]
    assert len(names) >= 5
    assert all(cache.load(bytes.fromhex(name.removesuffix(".o"))) for name in names)


def replace_by_link(path: Path) -> None:
    target = path.with_suffix(".elsewhere")
    path.rename(target)
    path.symlink_to(target)


def flip_first_code_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[cache.HEADER + 70] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "warned"),
    [
        (lambda path: path.write_bytes(b""), 1),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), 1),
        (flip_first_code_byte, 1),
        (replace_by_link, 0),
    ],
    ids=["empty", "truncated", "flipped", "links"],
)
def test_answers_are_right_and_the_cache_heals(home: Path, damage: Callable[[Path], None], warned: int) -> None:
    assert_worked(python(f"{WORK}\nwork()", home), warned=0)
    kept = {path.name: path.read_bytes() for path in home.iterdir()}
    for path in list(home.glob("*.o")):
        damage(path)
    assert_worked(python(f"{WORK}\nwork()", home), warned=warned)
    assert {path.name: path.read_bytes() for path in home.glob("*.o")} == kept


def test_an_object_of_another_machine_is_not_linked(home: Path) -> None:
    nest, host = CopyNest(4), isas.host()
    foreign = isas.ISAS["neon"]
    foreign_key, host_key = kernels._key(nest, foreign), kernels._key(nest, host)
    assert foreign_key != host_key
    cache.store(foreign_key, kernels.compile_object(nest, foreign))
    entry(home, foreign_key).rename(entry(home, host_key))
    assert_worked(python(f"{WORK}\nwork()", home), warned=1)
    healed = cache.load(host_key)
    assert healed is not None
    assert int.from_bytes(healed[18:20], "little") == 62  # x86-64


FORBIDDEN = {
    "writable by all": "import os; os.mkdir(home, 0o700); os.chmod(home, 0o777)",
    "a file": "open(home, 'w').close()",
    "full disk": "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))",
    "unwritable": """
import os, tempfile
home = tempfile.mkdtemp()
os.environ["FALTUNG_CACHE_DIR"] = home
os.chmod(home, 0o500)
if os.geteuid() == 0:
    os.chown(home, 65534, 65534)
    # Everything is imported first: the other user may not be able to read this Python.
    import llvmlite.binding, faltung.algorithms.direct, numpy.testing
    os.seteuid(65534)
""",
}


@pytest.mark.parametrize("obstacle", FORBIDDEN)
def test_without_a_usable_folder_answers_are_right(home: Path, obstacle: str) -> None:
    script = f"{WORK}\nhome = {str(home)!r}\n{FORBIDDEN[obstacle]}\nwork()\nwork()"
    assert_worked(python(script, home), warned=1)
    if home.is_dir():
        assert list(home.iterdir()) == []


def test_turned_off_nothing_is_written(home: Path) -> None:
    assert_worked(python(f"{WORK}\nwork()", home, FALTUNG_CACHE="0"), warned=0)
    assert not home.exists()


def test_another_generator_never_meets_these_objects(home: Path, tmp_path: Path) -> None:
    source = Path(faltung.__file__).parent
    shutil.copytree(source, tmp_path / "code" / "faltung", ignore=shutil.ignore_patterns("__pycache__"))
    script = f"{WORK}\nassert ft.__file__.startswith({str(tmp_path)!r})\nwork()"
    assert_worked(python(script, home, code_from=tmp_path / "code"), warned=0)
    old = {path.name for path in home.iterdir()}
    with (tmp_path / "code" / "faltung" / "compiler" / "elements.py").open("a") as file:
        file.write("\n# another version\n")
    assert_worked(python(script, home, code_from=tmp_path / "code"), warned=0)
    new = {path.name for path in home.iterdir()} - old
    assert len(new) == len(old) > 0
