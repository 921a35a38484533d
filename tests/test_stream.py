"""Chunks put together are what one call gives on the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung as ft

RULES = ["zero", "constant:2", "edge", "reflect", "symmetric", "antireflect", "antisymmetric"]


def streamed(c, x, cuts, axis=0, **options):
    live = c.stream(**options)
    pieces = [live(piece) for piece in np.split(x, sorted(cuts), axis)]
    pieces.append(live.finish())
    return np.concatenate(pieces, axis + (c.filters is not None)), pieces


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_chunks_give_what_one_call_gives(data) -> None:
    n, taps = data.draw(st.integers(0, 40)), data.draw(st.integers(1, 9))
    x = np.random.default_rng(data.draw(st.integers(0, 99))).standard_normal(n)
    extent = data.draw(st.sampled_from([{"mode": "same"}, {"mode": "full"}, {"padding": [(3, 12)]}, {"padding": 0}]))
    rule = st.sampled_from(RULES)
    options = {
        **extent,
        "boundary": [(data.draw(rule), data.draw(rule))],
        "stride": data.draw(st.integers(1, 4)),
        "dilation": data.draw(st.integers(1, 3)),
        "flip": data.draw(st.booleans()),
    }
    c = ft.Convolution(np.arange(1.0, taps + 1), **options)
    try:
        want = c(x)
    except ft.FaltungError as error:  # nothing to extend, or no output
        with pytest.raises(type(error)):
            streamed(c, x, [])
        return
    got, _ = streamed(c, x, data.draw(st.lists(st.integers(0, n), max_size=6)))
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13)


def test_frames_of_a_film() -> None:
    film = np.random.default_rng(0).standard_normal((20, 15, 16)).astype(np.float32)
    c = ft.Convolution(np.random.default_rng(1).standard_normal((3, 5, 4)), boundary=["edge", "wrap", "reflect"])
    got, pieces = streamed(c, film, [1, 2, 3, 10])
    np.testing.assert_array_equal(got, c(film))
    assert [len(piece) for piece in pieces] == [0, 1, 1, 7, 10, 1]


def test_banks_carried_axes_and_another_axis() -> None:
    x = np.random.default_rng(0).integers(0, 100, (4, 50)).astype(np.int16)
    c = ft.Convolution([np.array([1, 2, 3]), np.array([0, 1, 0])], axes=1, boundary="edge")
    got, _ = streamed(c, x, [7, 7, 30], axis=1)
    np.testing.assert_array_equal(got, c(x))
    assert got.dtype == c(x).dtype


def test_outputs_come_as_soon_as_they_are_certain() -> None:
    live = ft.Convolution([1.0, 1.0, 1.0], flip=False, boundary="zero").stream()
    assert [len(live([float(i)])) for i in range(5)] == [0, 1, 1, 1, 1]
    assert len(live.finish()) == 1


def test_a_long_stream_keeps_little() -> None:
    live = ft.Convolution(np.ones(9)).stream()
    for _ in range(50):
        live(np.ones(1000))
        assert live._kept.size < 30


def test_refusals_say_what_and_how() -> None:
    c = ft.Convolution([1, 2, 3], boundary="wrap")
    with pytest.raises(ft.errors.BoundaryError, match="'wrap' joins the end of a stream to its beginning"):
        c.stream()(np.ones(5))
    with pytest.raises(ft.errors.BoundaryError, match="'antireflect' leaves the range of uint8"):
        ft.Convolution([1, 2, 3], boundary="antireflect").stream()(np.ones(5, np.uint8))
    live = ft.Convolution([1, 2, 3]).stream()
    with pytest.raises(ft.errors.PlanError, match="nothing has been streamed yet"):
        live.finish()
    live(np.ones(5))
    with pytest.raises(ft.errors.GeometryError, match=r"chunks of dtype float64 .* but was given int64"):
        live(np.ones(5, int))
    live.finish()
    with pytest.raises(ft.errors.PlanError, match="this stream is finished"):
        live(np.ones(5))
    with pytest.raises(ft.errors.GeometryError, match="axis=1 is not filtered"):
        ft.Convolution([1, 2, 3], axes=0).stream(axis=1)(np.ones((5, 5)))
