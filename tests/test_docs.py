"""The documents' code runs and prints what they say; so do the examples and the docstrings."""

import doctest
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import faltung

ROOT = Path(__file__).parents[1]
MODULES = [m.name for m in pkgutil.walk_packages(faltung.__path__, "faltung.") if not m.name.endswith("__main__")]


# What these import is an extra, or torch, which whoever wants it has.
OPTIONAL = ("torch", "onnx", "onnxruntime")


def module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        if getattr(error, "name", None) not in OPTIONAL:
            raise
        pytest.skip(f"{name} needs {error.name}")


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    assert doctest.testmod(module(name)).failed == 0


def test_enough_docstrings_are_examples() -> None:
    finder = doctest.DocTestFinder()
    count = sum(bool(t.examples) for name in MODULES if "torch" not in name for t in finder.find(import_module(name)))
    assert count >= 20


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_pages(page: Path) -> None:
    if "import torch" in page.read_text():
        pytest.importorskip("torch")
    assert doctest.testfile(str(page), module_relative=False).failed == 0


def test_the_readmes_python_runs(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    assert "signature" in result.stdout


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda script: script.name)
def test_examples(script: Path, tmp_path: Path) -> None:
    for needed in ("torch", "sklearn"):
        if needed in script.read_text():
            pytest.importorskip(needed)
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    assert "True" in result.stdout or script.name == "train_digits.py"
