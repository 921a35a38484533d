"""Objects are self-contained for every instruction set, compiled once, and equal in their answers."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
import threading
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from faltung import definition
from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.compiler.copy_nest import CopyNest
from faltung.compiler.elements import Element
from faltung.compiler.tap_nest import TapNest

pytestmark = pytest.mark.skipif(not kernels.available(), reason="nothing is compiled here")

MACHINES = {"avx512": 62, "avx2": 62, "sse2": 62, "neon": 183}
TYPES = [
    ("f4", "f4", "f4"), ("f8", "f8", "f8"), ("u1", "f4", "f4"), ("u1", "f4", "u1"), ("i1", "i4", "i4"),
    ("u2", "i4", "u2"), ("i2", "f4", "i2"), ("u8", "f8", "f8"), ("i4", "f8", "f4"), ("u4", "i8", "i8"),
    ("i8", "i8", "i8"), ("f8", "f8", "i8"), ("f4", "f4", "u4"), ("f8", "f8", "u8"), ("i8", "i8", "u8"),
    ("i4", "i8", "f8"), ("f4", "f8", "f8"),
]  # fmt: skip
# (tap rows, tap columns, ragged, stream): known, unknown, mixed, folded with a ragged end, stored past the caches.
FORMS = [(None, None, False, False), (3, 3, False, False), (1, None, False, False), (None, 2, True, False)]
FORMS += [(None, None, True, False), (None, 3, False, True), (2, None, False, False)]


def nest(types: tuple[str, str, str], form: tuple[Any, ...], tile: tuple[int, int]) -> TapNest:
    load, accumulate, store = (Element.of(np.dtype(t)) for t in types)
    return TapNest(load, accumulate, store, *tile, *form)


def family(isa: isas.Isa) -> list[Any]:
    """Every pair of types with one form, every form with one pair of types, and every copy."""
    tile = (isa.rows, isa.vectors)
    found = [nest(types, FORMS[i % len(FORMS)], tile) for i, types in enumerate(TYPES)]
    found += [nest(TYPES[0], form, t) for form in FORMS for t in ((1, 1), (1, isa.vectors), tile, isa.fold)]
    return [*dict.fromkeys(found), *(CopyNest(size) for size in (1, 2, 4, 8))]


class Object(NamedTuple):
    """What an ELF object says: its kind and machine, section names, symbols, and the symbols its relocations need."""

    magic: bytes
    kind: int
    machine: int
    sections: list[str]
    symbols: list[tuple[str, int, int]]
    relocated: list[int]


def text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()


def read_elf(data: bytes) -> Object:
    """Read a 64-bit little-endian ELF object (System V ABI, chapter 4)."""
    kind, machine = struct.unpack_from("<HH", data, 16)
    (table,), (count, names) = struct.unpack_from("<Q", data, 40), struct.unpack_from("<HH", data, 60)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * i) for i in range(count)]
    sections = [text(data, headers[names][4] + header[0]) for header in headers]
    symbols, relocated = [], []
    for _, type_, _, _, offset, size, link, _, _, _ in headers:
        if type_ == 2:  # symbols: name, info, section
            strings = headers[link][4]
            for at in range(offset, offset + size, 24):
                name, info, _, section = struct.unpack_from("<IBBH", data, at)
                symbols.append((text(data, strings + name), info, section))
        if type_ in (4, 9):  # relocations with and without addend: the symbol's index is the high half of the info
            step = 24 if type_ == 4 else 16
            relocated += [struct.unpack_from("<Q", data, at + 8)[0] >> 32 for at in range(offset, offset + size, step)]
    return Object(data[:6], kind, machine, sections, symbols, relocated)


@pytest.mark.parametrize("isa", isas.ISAS.values(), ids=lambda isa: isa.name)
def test_objects_are_self_contained_for_every_machine(isa: isas.Isa) -> None:
    for one in family(isa):
        found = read_elf(kernels.compile_object(one, isa))
        assert found.magic == b"\x7fELF\x02\x01"
        assert (found.kind, found.machine) == (1, MACHINES[isa.name])
        undefined = [name for name, _, section in found.symbols[1:] if section == 0]
        assert undefined == [], one.name
        assert [i for i in found.relocated if found.symbols[i][2] == 0] == []
        exported = [name for name, info, section in found.symbols if info >> 4 == 1 and section]
        assert exported == [one.name]
        assert not [name for name in found.sections if name.startswith((".init", ".fini", ".ctors", ".tbss"))]


def test_a_name_belongs_to_one_nest() -> None:
    every = [
        nest(types, (tap_rows, tap_columns, ragged, stream), tile)
        for types, tap_rows, tap_columns, ragged, stream, tile in product(
            TYPES, (None, 1, 2, 11), (None, 1, 2, 11), (False, True), (False, True), [(1, 1), (4, 4), (8, 2), (1, 11)]
        )
    ]
    assert len({one.name for one in every}) == len(set(every)) == len(every)


def test_keys_differ_by_nest_and_by_instruction_set() -> None:
    found = {kernels._key(one, isa) for isa in isas.ISAS.values() for one in family(isas.ISAS["avx2"])}
    assert len(found) == len(isas.ISAS) * len(family(isas.ISAS["avx2"]))
    assert all(len(key) == 32 for key in found)


def test_equal_nests_give_equal_objects() -> None:
    for isa in isas.ISAS.values():
        one = nest(TYPES[3], FORMS[0], (isa.rows, isa.vectors))
        assert kernels.compile_object(one, isa) == kernels.compile_object(one, isa)


def test_eight_threads_compile_each_nest_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALTUNG_CACHE", "0")
    monkeypatch.setattr(kernels, "_registry", {})
    compiled: list[Any] = []
    compile_object = kernels.compile_object

    def count(one: kernels.Nest, isa: isas.Isa) -> bytes:
        compiled.append(one)
        return compile_object(one, isa)

    monkeypatch.setattr(kernels, "compile_object", count)
    nests = [nest(types, FORMS[0], (1, 1)) for types in TYPES[:5]] + [CopyNest(4)]
    together = threading.Barrier(8)
    found: list[list[Any]] = [[] for _ in range(8)]

    def work(number: int) -> None:
        together.wait(timeout=20)
        for i in range(len(nests)):
            found[number].append((nests[(i + number) % len(nests)], kernels.get(nests[(i + number) % len(nests)])))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(compiled, key=nests.index) == nests
    assert set(kernels.compiled()) == set(nests)
    assert all(kernel is kernels.get(one) for pairs in found for one, kernel in pairs)
    assert [len(pairs) for pairs in found] == [len(nests)] * 8


def test_linked_memory_is_never_writable_and_executable() -> None:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not list its memory")
    address = ctypes.cast(kernels.get(CopyNest(8)), ctypes.c_void_p).value  # type: ignore[arg-type]
    assert address is not None
    for line in maps.read_text().splitlines():
        place, rights = line.split()[:2]
        start, stop = (int(part, 16) for part in place.split("-"))
        if start <= address < stop:
            assert rights == "r-xp"
            return
    pytest.fail("the kernel is not in any mapping")


CASES: list[tuple[Any, ...]] = [
    ((61, 83), (5, 4), "f4", "f8", {}), ((61, 83), (3, 3), "f8", "f8", {"boundary": "reflect"}),
    ((61, 83), (5, 5), "u1", "f4", {"dtype": "u1"}), ((900,), (101,), "f4", "f4", {}),
    ((40, 41), (3, 4), "i2", "i2", {"stride": 2}), ((40, 41), (3, 4), "i4", "f4", {"dilation": 2}),
    ((31, 17, 3), (5, 5), "u1", "f4", {"axes": (0, 1)}), ((9, 20, 40), (3, 3, 3), "f4", "f4", {"boundary": "wrap"}),
    ((300, 500), (7, 7), "f4", "f4", {}), ((40, 50), (3, 3), "u8", "f8", {}), ((7,), (3,), "f8", "f4", {}),
    ((40, 50), (3, 3), "f8", "f8", {"dtype": "i4"}),
]  # fmt: skip


def arrays(number: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    shape, kernel_shape, dtype, kernel_dtype, options = CASES[number]
    rng = np.random.default_rng(number)

    def samples(size: Any, kind: str) -> Any:
        if kind[0] == "f":
            return (rng.standard_normal(size) * 10.0 ** rng.uniform(-3, 3, size)).astype(kind)
        return rng.integers(0 if kind[0] == "u" else -100, 200, size).astype(kind)

    kernel = samples(kernel_shape, kernel_dtype)
    # Saturated outputs should not all lie at the ends of the range.
    return samples(shape, dtype), np.abs(kernel / kernel.sum()).astype(kernel.dtype) if options.get("dtype") else kernel


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[np.ndarray[Any, Any]]]:
    """The results under every instruction set that runs here, each from its own process."""
    folder = tmp_path_factory.mktemp("isa")
    for number in range(len(CASES)):
        x, kernel = arrays(number)
        np.savez(folder / f"{number}.npz", x=x, kernel=kernel)
    script = f"""
import numpy as np
import faltung as ft
from faltung.compiler import isa
for number, (_, _, _, _, options) in enumerate({CASES!r}):
    given = np.load({str(folder)!r} + f"/{{number}}.npz")
    np.save({str(folder)!r} + f"/{{isa.host().name}}-{{number}}.npy", ft.correlate(given["x"], given["kernel"], **options))
"""
    names = isas.runnable(isas._host_features())
    for name in names:
        environment = {**os.environ, "FALTUNG_ISA": name, "FALTUNG_CACHE_DIR": str(folder / "kept")}
        subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=60)
    return {name: [np.load(folder / f"{name}-{n}.npy") for n in range(len(CASES))] for name in names}


@pytest.mark.parametrize("number", range(len(CASES)))
def test_every_instruction_set_stays_within_the_bound(
    answers: dict[str, list[np.ndarray[Any, Any]]], number: int
) -> None:
    (x, kernel), options = arrays(number), dict(CASES[number][4])
    requested = options.pop("dtype", None)
    rng = np.random.default_rng(number)
    for got in (found[number] for found in answers.values()):
        where = [tuple(int(i) for i in rng.integers(0, got.shape)) for _ in range(60)]
        want = definition.correlate(x, kernel, at=where, **options)
        scale = definition.magnitude(x, kernel, flip=False, at=where, **options)
        integer = x.dtype.kind in "iu" and kernel.dtype.kind in "iu"
        double = x.dtype.itemsize > 2 and x.dtype != np.float32
        unit = 0.0 if integer else 2.0**-53 if double else 2.0**-24
        # A product and a sum round for every tap where there is no fused multiply-add, and both factors may round.
        steps = (kernel.size + 3) * unit
        if requested:
            limits = np.iinfo(requested)
            want = np.clip(want, float(limits.min), float(limits.max))
        allowance = 0.5 if requested else 0.0
        error = np.abs(np.array([got[i] for i in where]).astype(np.longdouble) - want.astype(np.longdouble))
        assert (error <= steps / (1 - steps) * scale.astype(np.longdouble) + allowance).all()
        assert np.count_nonzero(want) >= 0.3 * want.size


def test_sets_with_fused_multiply_add_give_equal_bits(answers: dict[str, list[np.ndarray[Any, Any]]]) -> None:
    if "avx512" not in answers or "avx2" not in answers:
        pytest.skip("this CPU does not run both AVX-512 and AVX2")
    for wide, narrow in zip(answers["avx512"], answers["avx2"], strict=True):
        assert wide.dtype == narrow.dtype
        assert wide.tobytes() == narrow.tobytes()


def test_an_unknown_instruction_set_is_a_clear_error() -> None:
    script = "import faltung as ft; ft.correlate([1.0, 2.0], [1.0])"
    environment = {**os.environ, "FALTUNG_ISA": "mmx"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "CompileError: FALTUNG_ISA=mmx was asked for, but this CPU runs " in done.stderr
    assert done.stderr.rstrip().endswith("choose one of these")


def test_a_missing_llvmlite_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FALTUNG_JIT", raising=False)
    monkeypatch.setattr(kernels, "find_spec", lambda _: None)
    with pytest.warns(RuntimeWarning, match="llvmlite is not installed.*pip install llvmlite"):
        assert not kernels.available.__wrapped__()
    assert kernels.available() is kernels.available()


def test_kernels_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALTUNG_JIT", "0")
    assert not kernels.available.__wrapped__()
