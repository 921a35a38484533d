"""Every picture: readable at slide size, complete, without global state; the same bytes each time."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

import faltung as ft
from faltung import plot
from faltung.errors import FaltungError, FileError, GeometryError
from faltung.plot.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, YELLOW, ink_on, weight_colours

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(1)
X = RNG.integers(0, 10, (5, 6))
PHOTO = RNG.integers(0, 256, (40, 60), dtype=np.uint8)
SPECTRUM = ft.Convolution([1.0, 2.0, 0.5]).spectrum(32)
PLANE = ft.Convolution(ft.filters.sobel()).spectrum(16)
FOLDED = ft.Convolution([1, 2, 4], flip=False, boundary="symmetric")
PICTURES: dict[str, Any] = {
    "kernel": lambda: plot.kernel(ft.filters.sobel()),
    "kernel 1-D": lambda: plot.kernel([0.25, -0.5, 0.25]),
    "kernel 3-D": lambda: plot.kernel(ft.filters.gaussian(0.5, ndim=3)),
    "kernel large": lambda: plot.kernel(ft.filters.gabor(8)),
    "kernel many slices": lambda: plot.kernel(RNG.standard_normal((12, 4, 5))),
    "sliding": lambda: plot.sliding(X, ft.Convolution(ft.filters.sobel(), boundary="antireflect")),
    "sliding floats": lambda: plot.sliding(X[0] / 7, ft.Convolution([0.25, -0.5, 0.25])),
    "sliding large": lambda: plot.sliding(np.arange(7), ft.Convolution([1, -1, 2, -2], mode="full")),
    "feature map": lambda: plot.feature_map(PHOTO, ft.Convolution(ft.filters.gaussian(3))),
    "feature map bank": lambda: plot.feature_map(PHOTO, ft.Convolution([np.ones((3, 3)), -np.eye(3)])),
    "feature map layer": lambda: plot.feature_map(
        np.stack([PHOTO] * 2), ft.Convolution(np.ones((3, 2, 2, 2)), channels=True)
    ),
    "layer": lambda: plot.layer(3, 4),
    "layer wide": lambda: plot.layer(64, 128, (5, 1), groups=64, bias=True),
    "units": lambda: plot.units(FOLDED, 5),
    "units stride": lambda: plot.units(ft.Convolution([1, 2, 4], boundary="antireflect", stride=2), 12),
    "arithmetic": lambda: plot.arithmetic(5, 3, stride=2, padding=1),
    "arithmetic 1-D": lambda: plot.arithmetic((7,), 3, dilation=2),
    "arithmetic transposed": lambda: plot.arithmetic(3, 3, stride=2, padding=1, transposed=True, output_padding=1),
    "matrix": lambda: plot.matrix(FOLDED, 6),
    "matrix 2-D": lambda: plot.matrix(ft.Convolution(np.ones((5, 5)), mode="valid"), (7, 7)),
    "boundary": plot.boundary,
    "boundary signal": lambda: plot.boundary(["wrap", "reflect"], [1.5, -2, 0.25]),
    "boundary picture": lambda: plot.boundary(["edge", "zero"], PHOTO),
    "response": lambda: plot.response(SPECTRUM.frequencies, SPECTRUM.magnitude, SPECTRUM.phase, title="title"),
    "response 2-D": lambda: plot.response(PLANE.frequencies, PLANE.magnitude, PLANE.phase),
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_text_is_large_enough_and_inside_and_nothing_global_changes(name: str) -> None:
    before = dict(mpl.rcParams)
    figure = PICTURES[name]()
    assert dict(mpl.rcParams) == before
    width = figure.get_size_inches()[0]
    assert width <= 10
    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    shown = [t for axes in figure.axes for t in axes.texts if t.get_visible() and t.get_text()]
    shown += [t for axes in figure.axes if axes.axison for t in (axes.title, axes.xaxis.label, axes.yaxis.label)]
    shown += [t for axes in figure.axes if axes.axison for t in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    for text in shown:
        if not text.get_text():
            continue
        assert text.get_fontsize() >= 12
        box = text.get_window_extent(renderer)
        frame = figure.bbox
        # Ticks just beyond the ends of an axis are not drawn.
        if text in [t for axes in figure.axes for t in (*axes.get_xticklabels(), *axes.get_yticklabels())]:
            continue
        assert frame.x0 - 1 <= box.x0, text.get_text()
        assert box.x1 <= frame.x1 + 1, text.get_text()
        assert frame.y0 - 1 <= box.y0, text.get_text()
        assert box.y1 <= frame.y1 + 1, text.get_text()


@pytest.mark.parametrize("name", ["kernel", "sliding", "layer", "units", "matrix", "boundary"])
def test_no_two_texts_overlap(name: str) -> None:
    figure = PICTURES[name]()
    renderer = figure.canvas.get_renderer()
    boxes = [t.get_window_extent(renderer) for t in figure.axes[0].texts if t.get_visible()]
    # The number in a marked cell is written on itself.
    places = {tuple(np.round(box.extents)): box for box in boxes}
    boxes = list(places.values())
    for i, one in enumerate(boxes):
        for other in boxes[i + 1 :]:
            across = min(one.x1, other.x1) - max(one.x0, other.x0)
            along = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert across < 1 or along < 1


def test_numbers_that_would_not_fit_are_refused_or_left_out() -> None:
    with pytest.raises(GeometryError, match="side by side leave no room"):
        plot.sliding(np.full((12, 12), -1.2345e-7), ft.Convolution(np.full((5, 5), -1.2345e-7)))
    assert not any(t.get_visible() for t in plot.kernel(RNG.standard_normal((18, 18))).axes[0].texts[:-1])


def test_importing_is_light_and_pyplot_is_never_loaded(tmp_path: Path) -> None:
    code = (
        "import sys, faltung.plot as p; print('matplotlib' in sys.modules); p.save(p.layer(3, 4), sys.argv[1]); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "layer.svg")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", ["sliding", "feature map", "units", "response"])
@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_same_picture_gives_the_same_bytes(name: str, kind: str, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    for i in range(2):
        plot.save(PICTURES[name](), tmp_path / f"{i}.{kind}")
    assert (tmp_path / f"0.{kind}").read_bytes() == (tmp_path / f"1.{kind}").read_bytes()
    assert dict(mpl.rcParams) == before


def test_svg_keeps_letters_and_has_no_date(tmp_path: Path) -> None:
    plot.save(PICTURES["sliding"](), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert "feature map" in text
    assert "Date" not in text
    assert "dc:date" not in text


def test_animations(tmp_path: Path) -> None:
    frames = plot.arithmetic_frames((5,), 3, stride=2, padding=1)
    for i in range(2):
        plot.save(frames, tmp_path / f"{i}.gif", seconds=0.5)
        plot.save(frames, tmp_path / f"{i}.svg", seconds=0.5)
    with Image.open(tmp_path / "0.gif") as moving:
        assert (moving.n_frames, moving.info["duration"], moving.info["loop"]) == (3, 500, 0)
    assert (tmp_path / "0.gif").read_bytes() == (tmp_path / "1.gif").read_bytes()
    text = (tmp_path / "0.svg").read_text()
    assert text == (tmp_path / "1.svg").read_text()
    assert text.count('attributeName="display"') == 3
    assert 'values="inline;none;none" dur="1.5s"' in text
    assert ET.fromstring(text).tag.endswith("svg")


def test_files_are_never_replaced_unasked(tmp_path: Path) -> None:
    picture = plot.kernel([1, 2])
    path = tmp_path / "a.svg"
    plot.save(picture, path)
    kept = path.read_bytes()
    with pytest.raises(FileError, match=r"a\.svg: exists already; pass --force \(force=True\)"):
        plot.save(plot.kernel([3]), path)
    assert path.read_bytes() == kept
    plot.save(plot.kernel([3]), path, force=True)
    assert path.read_bytes() != kept
    for name, text in [("a.jpg", "no format of pictures"), ("no/a.svg", "does not exist"), ("a.png", "one picture")]:
        with pytest.raises(FileError, match=text):
            plot.save([picture, picture], tmp_path / name)
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(FileError, match="is a folder"):
        plot.save(picture, tmp_path / "folder.svg")


def test_without_matplotlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faltung.plot.canvas.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'faltung\[plot\]'") as caught:
        plot.kernel([1])
    assert isinstance(caught.value, FaltungError)


def test_colours_are_told_apart_by_colour_blind_eyes() -> None:
    # Simulation of Viénot, Brettel and Mollon (1999) for missing red and green cones.
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    protan = np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]])
    deutan = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
    palette = np.array([BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW]) ** 2.2
    for missing in (protan, deutan):
        seen = (np.linalg.inv(to_lms) @ missing @ to_lms @ palette.T).T.clip(0, 1) ** (1 / 2.2)
        for i, one in enumerate(seen):
            assert all(np.abs(one - other).max() > 0.08 for other in seen[i + 1 :])


def test_letters_stand_out_from_their_cells() -> None:
    def luminance(colour: Any) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in [*weight_colours(21), *weight_colours(100)]:
        pair = sorted([luminance(colour), luminance(ink_on(colour))])
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 3.6
