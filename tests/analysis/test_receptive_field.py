"""The closed form names exactly the samples whose change an output can see."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faltung import Convolution, definition
from faltung.analysis.chain import Chain
from faltung.analysis.receptive_field import Field, ReceptiveField, receptive_field
from faltung.errors import GeometryError


@st.composite
def layers(draw) -> dict:
    kernel = np.ones(draw(st.integers(1, 4)), int)
    options = {"stride": draw(st.integers(1, 3)), "dilation": draw(st.integers(1, 2)), "boundary": "zero"}
    if draw(st.booleans()):
        return {"kernel": kernel, "padding": [(draw(st.integers(0, 3)), draw(st.integers(0, 3)))], **options}
    return {"kernel": kernel, "mode": draw(st.sampled_from(["same", "full", "valid"])), **options}


@settings(max_examples=60)
@given(st.lists(layers(), min_size=1, max_size=3), st.booleans())
def test_a_chain_sees_exactly_its_field(described, flip) -> None:
    """Every weight is 1, so that an output counts the paths from a sample to it."""
    steps = [Convolution(**layer, flip=flip) for layer in described]
    field = receptive_field(steps)
    n = 100
    reached = np.eye(n, dtype=int)
    for layer in described:
        asked = {name: value for name, value in layer.items() if name != "kernel"}
        apply = definition.convolve if flip else definition.correlate
        reached = apply(reached, layer["kernel"], axes=1, **asked)
    for o in range(reached.shape[1]):
        ((start, stop),) = field.box([o])
        if start >= 0 and stop <= n:
            seen = np.flatnonzero(reached[:, o])
            assert (seen[0], seen[-1] + 1) == (start, stop)


def test_known_networks() -> None:
    # AlexNet's convolutions and poolings: 195 pixels, a stride of 32, a padding of 64 (Araujo et al. 2019, table 1).
    alexnet = [(11, 4, 0), (3, 2, 0), (5, 1, 2), (3, 2, 0), (3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2, 0)]
    steps = [Convolution(np.ones((k, k)), stride=s, padding=p, boundary="zero") for k, s, p in alexnet]
    assert receptive_field(steps) == ((195, 32, -64),) * 2


def test_chains_fields_and_anchors() -> None:
    first, second = Convolution(np.ones((3, 2)), anchor=(0, 1), flip=False), Convolution(np.ones((2, 2)), stride=(2, 1))
    want = receptive_field([first, second])
    assert receptive_field(Chain([first, second], "a test")) == want
    assert receptive_field([receptive_field(first), second]) == want
    assert (want.size, want.stride, want.start) == ((4, 3), (2, 1), (0, -1))
    assert ReceptiveField([Field(2, 1, 0)]) == ((2, 1, 0),)


def test_errors() -> None:
    with pytest.raises(GeometryError, match="one step filters 1 axes and a later one 2"):
        receptive_field([Convolution([1]), Convolution([[1]])])
    with pytest.raises(GeometryError, match="no step was given"):
        receptive_field([])
    with pytest.raises(GeometryError, match="3 is no convolution, chain"):
        receptive_field([3])
    with pytest.raises(GeometryError, match=r"index \(1, 2\) has 2 entries, but the field 1 axes"):
        receptive_field(Convolution([1])).box([1, 2])
