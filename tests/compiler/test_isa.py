"""Which instruction set is compiled for, and whether its tiles fit its registers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from faltung.compiler import isa as isas
from faltung.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Iterator

AVX512 = ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]
AVX2 = ["avx2", "fma", "f16c", "bmi2"]
REGISTERS = {"avx512": 32, "avx2": 16, "sse2": 16, "neon": 32}


@pytest.fixture
def chosen_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let `host` choose again, and forget that choice afterwards."""
    monkeypatch.delenv("FALTUNG_ISA", raising=False)
    isas.host.cache_clear()
    yield monkeypatch
    isas.host.cache_clear()


def cpu(*names: str, without: tuple[str, ...] = ()) -> dict[str, bool]:
    return {**dict.fromkeys(names, True), **dict.fromkeys(without, False)}


@pytest.mark.parametrize(
    ("features", "names"),
    [
        (cpu("sse2", *AVX2, *AVX512), ["avx512", "avx2", "sse2"]),
        (cpu("sse2", *AVX2), ["avx2", "sse2"]),
        (cpu("sse2", *AVX2, *AVX512, without=("avx512dq",)), ["avx2", "sse2"]),
        (cpu("sse2", "avx2", "f16c", "bmi2"), ["sse2"]),
        (cpu("neon", "fp-armv8"), ["neon"]),
        (cpu("altivec"), []),
        ({}, []),
    ],
)
def test_what_a_cpu_runs_the_best_first(features: dict[str, bool], names: list[str]) -> None:
    assert isas.runnable(features) == names


@pytest.mark.parametrize("isa", isas.ISAS.values(), ids=lambda isa: isa.name)
def test_tiles_fit_the_registers(isa: isas.Isa) -> None:
    for rows, vectors in ((isa.rows, isa.vectors), isa.fold):
        # Accumulators, one row of inputs, one coefficient.
        assert rows * vectors + vectors + 1 <= REGISTERS[isa.name]
        assert rows * vectors >= 8, "fewer chains than that leave multiply-adds waiting for each other"
    assert isa.vector_bytes == {"avx512": 64, "avx2": 32}.get(isa.name, 16)
    assert isa.triple.startswith("aarch64" if isa.name == "neon" else "x86_64")


def test_the_names_are_the_keys() -> None:
    assert all(name == isa.name for name, isa in isas.ISAS.items())


def test_the_host_runs_what_was_chosen(chosen_anew: pytest.MonkeyPatch) -> None:
    import llvmlite.binding as llvm

    found = isas.runnable(dict(llvm.get_host_cpu_features()))
    assert isas.host().name == found[0]
    for name in found:
        chosen_anew.setenv("FALTUNG_ISA", name)
        isas.host.cache_clear()
        assert isas.host().name == name


@pytest.mark.parametrize("wanted", ["avx1024", "AVX2", "neon"])
def test_a_set_that_does_not_run_here_is_refused(chosen_anew: pytest.MonkeyPatch, wanted: str) -> None:
    chosen_anew.setattr(isas, "_host_features", lambda: cpu("sse2", *AVX2))
    chosen_anew.setenv("FALTUNG_ISA", wanted)
    text = f"FALTUNG_ISA={wanted} was asked for, but this CPU runs avx2, sse2; choose one of these"
    with pytest.raises(CompileError, match=f"^{re.escape(text)}$"):
        isas.host()


def test_a_cpu_that_runs_no_set(chosen_anew: pytest.MonkeyPatch) -> None:
    chosen_anew.setattr(isas, "_host_features", dict)
    text = "runs none of avx512, avx2, sse2, neon; set FALTUNG_JIT=0 to use NumPy"
    with pytest.raises(CompileError, match=text):
        isas.host()
