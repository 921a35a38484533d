"""docs/filters.md shows every filter, with the formula and the source of its docstring and a picture that is true."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from faltung.filters import REGISTRY
from faltung.filters.describe import describe

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "filters.md").read_text()


@pytest.mark.parametrize("name", REGISTRY)
def test_the_page_says_what_the_docstring_says(name: str) -> None:
    section = PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]
    about, flat = describe(name), " ".join(section.split())
    for text in (about.summary[1:], about.details, about.formula, about.source):
        assert text in flat
    assert ">>> " in section
    if name != "custom":
        assert f"(pictures/filters/{name}.png)" in section


def test_the_pictures_show_what_the_filters_give() -> None:
    script = DOCS / "make_filter_pictures.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    shown = {path.stem for path in (DOCS / "pictures" / "filters").glob("*.png")}
    assert {f"pictures/filters/{name}.png" in PAGE for name in shown} == {True}
