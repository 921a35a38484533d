"""The picture of a pooling: every window's colour, its samples, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest

from faltung.errors import GeometryError
from faltung.plot.pooling import pooling
from faltung.pooling import Pooling

X = np.array([[1, 3, 2, 1], [4, 2, 0, 1], [5, 1, 8, 6], [0, 2, 7, 9]])


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_samples_results_and_formula_are_written():
    assert texts(pooling(X, Pooling((2, 2)))) == [*map(str, X.ravel()), "4", "2", "5", "9", "y[j] = max_l x[2·j + l]"]
    line = texts(pooling(X[0], Pooling(2, kind="mean", stride=1, padding=1, boundary="edge")))
    assert line[:6] == ["1", "1", "3", "2", "1", "1"]
    assert line[6:11] == ["1", "2", "2.5", "1.5", "1"]
    # Padding that is no sample stays empty.
    assert texts(pooling(X[0], Pooling(2, stride=2, padding=1)))[:4] == ["1", "3", "2", "1"]


def test_every_window_has_a_colour_that_its_samples_share():
    figure = pooling(X, Pooling((2, 2)))
    colours = [p.get_facecolor()[:3] for p in figure.axes[0].patches if p.get_fill() and hasattr(p, "get_width")]
    samples, outputs = colours[:16], colours[16:]
    assert len(set(outputs)) == 4
    for i, j in np.ndindex(4, 4):
        assert samples[4 * i + j] == outputs[2 * (i // 2) + j // 2]


def test_a_shared_sample_shows_every_window():
    figure = pooling(X, Pooling((3, 3), stride=1))
    # Four windows of 9 samples; the 16 cells show 36 parts, of which each cell's first is the cell itself.
    stripes = [p for p in figure.axes[0].patches if not hasattr(p, "get_width") and p.get_facecolor()[3] > 0]
    assert len(stripes) == 36 - 16


@pytest.mark.parametrize(
    ("x", "p", "text"),
    [
        (np.ones((2, 2, 2)), Pooling((2, 2)), "does not fit a picture"),
        (np.ones((2, 2, 2)), Pooling((2, 2, 2)), "does not fit a picture"),
        (np.ones(13), Pooling(2), "up to 12 samples"),
        (np.ones((8, 8)), Pooling((1, 1)), "64 windows cannot be told apart"),
    ],
)
def test_what_no_picture_can_show_is_refused(x, p, text):
    with pytest.raises(GeometryError, match=text):
        pooling(x, p)
