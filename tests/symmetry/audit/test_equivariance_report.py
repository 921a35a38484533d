"""What an audit says, draws and keeps; what it refuses, and how."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import ndimage

from faltung import errors, symmetry
from faltung.symmetry import equivariance

if TYPE_CHECKING:
    from pathlib import Path

    from faltung.symmetry.elements import Array

X = np.random.default_rng(5).standard_normal((32, 32))


def strided(x: Array) -> Array:
    return ndimage.uniform_filter(x, 3, mode="constant")[::2, ::2]


def test_a_report_tells_shows_draws_and_keeps(tmp_path: Path) -> None:
    report = equivariance(strided, X, symmetry.rotations90())
    text = str(report)
    assert text.startswith("strided under rotations90\n")
    for word in ("rotation 180°", "lattice", "boundary", "floor", "border", report.verdict):
        assert word in text
    stored = json.loads(report.to_json(tmp_path / "r.json"))
    assert stored == json.loads((tmp_path / "r.json").read_text())
    assert stored["max_error"] == report.max_error
    assert [e["name"] for e in stored["per_element"]] == ["rotation 90°", "rotation 180°", "rotation 270°"]
    page = report._repr_html_()
    assert page.count("<tr>") == 4
    assert "&lt;" not in page
    figure = report.plot()
    assert [a.get_title() for a in figure.axes if a.get_title()] == [f"where, {report.worst.name}"]
    figure.savefig(tmp_path / "r.png")
    assert equivariance(np.max, X, symmetry.shifts()).plot().axes
    assert repr(report).startswith("<Report strided under rotations90: max_error ")
    with pytest.raises(errors.EquivarianceError, match="at most 1e-05 was required; stride 2 on size 32"):
        report.require(1e-5)


def test_a_rich_console_prints_it() -> None:
    from rich.console import Console

    for width in (60, 160):
        console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
        console.print(equivariance(strided, X, symmetry.rotations90()))
        shown = console.export_text()
        assert "rotation 90°" in shown
        assert ("if it stayed" in shown) == (width == 160)
        console.file.close()


class Growing:
    calls = 0

    def __call__(self, x: Array) -> Array:
        self.calls += 1
        return np.zeros(self.calls)


@pytest.mark.parametrize(
    ("f", "x", "group", "error", "message"),
    [
        (Growing(), X, symmetry.shifts(), errors.GeometryError, r"\(1,\) became \(2,\) in a second run"),
        (lambda x: x[x > 0], X + np.eye(32), symmetry.offset(), errors.GeometryError, "shape depends on the input's"),
        (lambda x: x * np.nan, X, symmetry.shifts(), errors.ProblemError, r"1024 of 1024 values .* at \(0, 0\)"),
        (lambda x: np.log(np.abs(x[:, :1])) * 0 + 1 / (x[0, 0] - X[0, 0] + 1e-320), X, symmetry.shifts(), errors.ProblemError, "NaN or infinite"),
        (lambda x: x, X[:4], symmetry.shifts(4), errors.GeometryError, "too far for a grid of 4 x 32"),
        (lambda x: x, X[:1], symmetry.shifts(), errors.GeometryError, "too small"),
        (lambda x: x, X[0], symmetry.shifts(), errors.GeometryError, "has 1"),
        (lambda x: x, X[:30], symmetry.rotations90(), errors.GeometryError, "crop or pad the input to 30 x 30"),
        (lambda x: (x, x), X, symmetry.shifts(), errors.ProblemError, "returns a tuple"),
        (lambda x: None, X, symmetry.shifts(), errors.ProblemError, "returns a NoneType"),
        (7, X, symmetry.shifts(), errors.ProblemError, "can not be called"),
        (lambda x: x, np.array(["a"]), symmetry.shifts(), errors.DtypeError, "holds no numbers"),
        (lambda x: x, np.ones((0, 3)), symmetry.shifts(), errors.ProblemError, "is empty"),
        (lambda x: x, X, "shifts", errors.ProblemError, "is not a group"),
        (lambda x: x, X, symmetry.shifts(0), errors.ProblemError, "nothing to measure"),
        (lambda x: x, X.astype(int), symmetry.rotations([10]), errors.DtypeError, "convert it first"),
        (lambda x: x, X, symmetry.pairs((abs, lambda y: y[0])), errors.GeometryError, "must keep it"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:overflow:RuntimeWarning")
def test_refusals(f: Any, x: Any, group: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        equivariance(f, x, group)


def test_outputs_that_cannot_be_what_was_asked() -> None:
    with pytest.raises(errors.ProblemError, match='give "auto", "field", "regular", "invariant"'):
        equivariance(lambda x: x, X, symmetry.shifts(), "vector")
    with pytest.raises(errors.GeometryError, match="needs the axes of the input"):
        equivariance(np.sum, X, symmetry.shifts(), "field")
    assert equivariance(lambda x: x, X, symmetry.shifts(), "invariant").max_error > 0.1


def test_a_random_function_is_called_random() -> None:
    noise = np.random.default_rng(0)
    report = equivariance(lambda x: x + noise.standard_normal(x.shape), X, symmetry.shifts())
    assert report.noise > 0.1
    assert "it is random: two runs" in report.verdict


def test_long_work_shows_a_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    equivariance(strided, X, symmetry.rotations90())
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    equivariance(strided, X, symmetry.rotations90())
    assert "elements" in capsys.readouterr().err
