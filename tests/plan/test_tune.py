"""Measured constants: they are used where they are asked for, and then every plan says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

import faltung as ft
from faltung.cli.app import app
from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.plan.choice import proposed, tuned
from faltung.runtime import machine

if TYPE_CHECKING:
    from pathlib import Path

if not kernels.available():
    pytest.skip("without a compiler there is nothing to tune", allow_module_level=True)

KERNEL = np.random.default_rng(0).standard_normal((25, 25))
SHAPE = (300, 300)


def plan():
    return ft.Convolution(KERNEL).plan(SHAPE, np.float64)


def measured(path: Path, **changed: object) -> Path:
    values = {"isa": isas.host().name, "vector_ops": 3.0, "int32": 1.0, "int64": 2.0}
    path.write_text(json.dumps({**values, "memory_bytes": 20.0, "call": 4000.0, **changed}))
    return path


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FALTUNG_TUNED", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_the_command_writes_what_the_variable_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan()
    result = CliRunner().invoke(app, ["tune", "--seconds", "0"])
    assert result.exit_code == 0, result.output
    path = tmp_path / "config" / "faltung" / "machine.json"
    assert f"written to {path}" in result.stdout
    assert "FALTUNG_TUNED=1" in result.stdout
    values = json.loads(path.read_text())
    assert values["isa"] == isas.host().name
    assert all(values[name] > 0 for name in ("vector_ops", "int32", "int64", "memory_bytes", "call"))
    assert list(path.parent.iterdir()) == [path]
    assert plan().signature == before.signature, "a file that nobody asked for changes nothing"
    monkeypatch.setenv("FALTUNG_TUNED", "1")
    assert plan().signature != before.signature


def test_a_path_is_where_it_is_written_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALTUNG_TUNED", str(tmp_path / "of this machine.json"))
    result = CliRunner().invoke(app, ["tune", "--seconds", "0"])
    assert result.exit_code == 0, result.output
    assert f"FALTUNG_TUNED={tmp_path / 'of this machine.json'}" in result.stdout
    assert machine.host().tuned is not None


def test_explain_and_the_signature_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "faltung tune" not in plan().explain()
    first, second = measured(tmp_path / "a.json"), measured(tmp_path / "b.json", vector_ops=4.0)
    same = measured(tmp_path / "c.json")
    signatures = []
    for path in (first, second, same):
        monkeypatch.setenv("FALTUNG_TUNED", str(path))
        assert f"measured by faltung tune ({machine.host().tuned})" in plan().explain()
        signatures.append(plan().signature)
        assert proposed(plan().recipe)[:1] == (plan().recipe.algorithm,)
        assert tuned(plan().recipe) == machine.host().tuned
    assert signatures[0] != signatures[1]
    assert signatures[0] == signatures[2], "the constants decide, not the file that holds them"


def test_the_constants_decide_the_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan().recipe.algorithm == "fourier"
    monkeypatch.setenv("FALTUNG_TUNED", str(measured(tmp_path / "quick.json", vector_ops=1000.0, call=1e9)))
    assert plan().recipe.algorithm == "direct"


def test_equal_signatures_give_equal_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(1).standard_normal(SHAPE)
    found: dict[str, np.ndarray] = {}
    for number, ops in enumerate((0.1, 3.0, 3.0, 1000.0)):
        monkeypatch.setenv("FALTUNG_TUNED", str(measured(tmp_path / f"{number}.json", vector_ops=ops)))
        one = plan()
        assert np.array_equal(found.setdefault(one.signature, one(x)), one(x))
    assert len(found) == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no file"),
        ("not JSON", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"isa": "avx2"}', "cannot be read"),
        ({"isa": "another"}, "are for 'another'"),
        ({"vector_ops": 0.0}, "are for"),
        ({"call": float("nan")}, "are for"),
    ],
)
def test_what_cannot_be_used_is_refused(content, reason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "machine.json"
    if isinstance(content, dict):
        measured(path, **content)
    elif content is not None:
        path.write_text(content)
    monkeypatch.setenv("FALTUNG_TUNED", str(path))
    with pytest.raises(ft.errors.PlanError, match=f"{reason}.*faltung tune.*unset FALTUNG_TUNED"):
        plan()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FALTUNG_TUNED", str(tmp_path / "file" / "machine.json"))
    result = CliRunner().invoke(app, ["tune", "--seconds", "0"])
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
    assert "FALTUNG_TUNED" in result.stderr


def test_without_a_compiler_there_is_nothing_to_tune() -> None:
    command = [sys.executable, "-m", "faltung.cli", "tune"]
    done = subprocess.run(command, env={**os.environ, "FALTUNG_JIT": "0"}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nothing to tune" in done.stderr
