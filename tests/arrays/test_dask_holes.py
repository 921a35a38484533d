"""Missing samples of Dask arrays: bit for bit what they are in memory, in any chunks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung as ft
from arrays.test_dask import ALGORITHMS, random_chunks
from faltung.errors import DtypeError

da = pytest.importorskip("dask.array")

RULES = ("zero", "constant:2", "edge", "reflect", "symmetric", "wrap", "constant:nan")


@st.composite
def asked(draw: st.DrawFn) -> dict[str, Any]:
    rank = draw(st.integers(1, 2))
    return {
        "rank": rank, "seed": draw(st.integers(0, 2**32 - 1)),
        "window": tuple(draw(st.integers(1, 6)) for _ in range(rank)), "rule": draw(st.sampled_from(RULES)),
        "stride": draw(st.integers(1, 3)), "mode": draw(st.sampled_from(["same", "same", "full", "valid"])),
        "mask": draw(st.sampled_from([None, None, "bool", "weights", "row"])),
        "nan": draw(st.sampled_from(["ignore", "ignore", "propagate"])),
        "min_weight": draw(st.sampled_from([0.0, 0.4])), "dtype": draw(st.sampled_from(["f4", "f8", "i2", "c8"])),
        "signed": draw(st.booleans()),
    }  # fmt: skip


@settings(max_examples=60)
@given(asked())
def test_any_holes_in_any_chunks(case: dict[str, Any]) -> None:
    rng = np.random.default_rng(case["seed"])
    shape = tuple(rng.integers(8, 40, case["rank"]))
    x = (rng.standard_normal(shape) * 10.0 ** rng.uniform(-3, 3, shape)).astype(case["dtype"])
    if x.dtype.kind in "fc":
        x[rng.random(shape) < 0.2] = np.nan
        x.flat[0] = np.nan
    kernel = rng.uniform(-0.2 if case["signed"] else 0.1, 1, case["window"])
    mask = {
        None: None, "bool": rng.random(shape) < 0.7, "weights": rng.random(shape), "row": rng.random(shape[-1]) < 0.7,
    }[case["mask"]]  # fmt: skip
    options = {
        "boundary": case["rule"], "stride": case["stride"], "mode": case["mode"], "nan": case["nan"],
        "min_weight": case["min_weight"], "mask": mask,
    }  # fmt: skip
    want = ft.correlate(x, kernel, **options)
    lazy = da.from_array(x, chunks=tuple(random_chunks(rng, n) for n in shape))
    if isinstance(mask, np.ndarray) and rng.random() < 0.5:
        options["mask"] = da.from_array(mask, chunks=3)
    got = ft.correlate(lazy, kernel, **options)
    assert got.dtype == want.dtype
    found = got.compute(scheduler="synchronous")
    if mask is None and case["nan"] == "ignore" and x.dtype.kind == "i" and case["rule"] != "constant:nan":
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5 * np.abs(x).max())
    else:
        np.testing.assert_array_equal(found, want)  # with NaN where NaN is
        assert found[~np.isnan(want)].tobytes() == want[~np.isnan(want)].tobytes()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm(algorithm: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((90, 70)).astype("f4")
    x[rng.random(x.shape) < 0.1] = np.nan
    kernel = np.ones((5, 7), "f4") if algorithm == "window_sum" else np.outer(rng.random(5), rng.random(7))
    want = ft.correlate(x, kernel, nan="ignore", algorithm=algorithm)
    found = ft.correlate(da.from_array(x, chunks=(17, 23)), kernel, nan="ignore", algorithm=algorithm)
    assert found.compute(scheduler="synchronous").tobytes() == want.tobytes()


def test_nan_stays_where_it_was_and_banks() -> None:
    x = np.arange(60.0).reshape(6, 10)
    x[2, 4] = x[5, 8] = np.nan
    lazy = da.from_array(x, chunks=(4, 3))
    for kernel in (np.ones((3, 3)), [np.ones((3, 3)), np.eye(3)]):
        for options in ({"nan": "ignore", "preserve_nan": True, "stride": 2}, {"preserve_nan": True}):
            want = ft.correlate(x, kernel, **options)
            found = ft.correlate(lazy, kernel, **options)
            np.testing.assert_array_equal(found.compute(), want)
            assert np.isnan(want).any()


def test_integers_cannot_say_that_nothing_was_seen() -> None:
    x = np.full(20, np.nan)
    x[:10] = 1
    y = ft.correlate(da.from_array(x, chunks=5), [1, 1, 1], nan="ignore", dtype="i4")
    assert y[:5].compute().tolist() == [3] * 5
    with pytest.raises(DtypeError, match="see no sample at all"):
        y.compute()
