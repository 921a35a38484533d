"""Every filter has a formula, a source and meanings for its parameters; and a picture has the right colours."""

from __future__ import annotations

import numpy as np
import pytest

from faltung import filters
from faltung.errors import ProblemError
from faltung.filters.colours import colours, enlarged, plane
from faltung.filters.describe import describe


@pytest.mark.parametrize("name", filters.REGISTRY)
def test_nothing_is_left_out(name: str) -> None:
    about = describe(name)
    assert about.name == name
    assert about.summary
    assert [p.name for p in about.parameters] == list(filters.parameters(name))
    assert all(p.meaning.endswith(".") and "  " not in p.meaning for p in about.parameters)
    if name != "custom":
        assert about.formula.startswith("k")
        assert about.source.endswith(".")
        assert "`" not in about.formula + about.source + about.details


def test_a_description() -> None:
    about = describe("sharpen")
    assert about.formula == "k = δ - amount·laplacian"
    assert about.summary == "the identity minus amount times the Laplacian."
    assert [(p.name, p.default) for p in about.parameters] == [("amount", "1.0")]
    defaults = {p.name: p.default for p in describe("disk").parameters}
    assert defaults == {"radius": None, "antialias": "true", "spacing": "1.0"}
    with pytest.raises(ProblemError, match="unknown filter 'blurr'; there are gaussian"):
        describe("blurr")


def test_colours_run_from_blue_over_white_to_red() -> None:
    blue, white, red = colours(np.array([-3.0, 0.0, 3.0])).astype(int)
    assert blue[2] > blue[0] + 100
    assert white.tolist() == [255, 255, 255]
    assert red[0] > red[2] + 100
    assert colours(np.zeros(3)).tolist() == [[255] * 3] * 3
    np.testing.assert_array_equal(colours(np.array([1j, 1.0])), colours(np.array([0.0, 1.0])))


def test_planes_and_enlargement() -> None:
    kernel = np.arange(27).reshape(3, 3, 3)
    np.testing.assert_array_equal(plane(kernel, (2, 1, 1)), kernel[2])
    picture = enlarged(np.array([[1.0, -1.0]]), 256)
    assert picture.shape == (128, 256, 3)
    np.testing.assert_array_equal(np.unique(picture.reshape(-1, 3), axis=0), [[33, 102, 172], [178, 24, 43]])
