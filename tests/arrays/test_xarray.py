"""The accessor of DataArrays: named axes, coordinates in their places, units, laziness."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import faltung as ft
from faltung.errors import GeometryError, ProblemError

xarray = pytest.importorskip("xarray")
import faltung.arrays.xarray  # noqa: E402


def field(times: int = 4, lats: int = 9, lons: int = 12) -> Any:
    rng = np.random.default_rng(0)
    lat, lon = np.linspace(80, -80, lats), np.arange(lons) * (360 / lons)
    time = np.datetime64("2001-01-01", "ns") + np.arange(times) * np.timedelta64(6, "h")
    coords = {
        "time": time, "lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"}),
        "height": 2.0, "area": (("lat", "lon"), np.cos(np.deg2rad(lat))[:, None] * np.ones(lons)),
        "name": ("lon", [f"m{i}" for i in range(lons)]),
    }  # fmt: skip
    data = rng.standard_normal((times, lats, lons)).astype("f4")
    return xarray.DataArray(data, coords, ("time", "lat", "lon"), "t2m", {"units": "K"})


def test_dimensions_by_name_whatever_their_order() -> None:
    x, k = field(), np.arange(6.0).reshape(2, 3)
    got = x.faltung.correlate(k, dims=("lon", "lat"), boundary={"lon": "wrap", "lat": "edge"})
    want = ft.correlate(x.values, k, axes=(2, 1), boundary=["wrap", "edge"])
    assert np.array_equal(got.values, want)
    moved = x.transpose("lon", "time", "lat").faltung.correlate(
        k, dims=("lon", "lat"), boundary={"lon": "wrap", "lat": "edge"}
    )
    np.testing.assert_allclose(moved.transpose(*x.dims).values, want, rtol=1e-5, atol=1e-5)
    assert np.array_equal(x[0].faltung.convolve(k).values, ft.convolve(x.values[0], k))


def test_name_attributes_and_coordinates_are_kept() -> None:
    x = field()
    got = x.faltung.correlate([1.0, 2.0, 1.0], "lon", boundary="wrap")
    assert got.name == x.name
    assert got.attrs == x.attrs
    assert got.dims == x.dims
    xarray.testing.assert_identical(got.coords.to_dataset(), x.coords.to_dataset())


def test_coordinates_follow_the_stride() -> None:
    x = field()
    got = x.faltung.correlate(np.ones((2, 3)), ("lat", "lon"), stride={"lon": 5})
    assert got.lon.values.tolist() == x.lon.values[::5].tolist()
    assert got.lat.values.tolist() == x.lat.values.tolist()
    assert got.name == "t2m"
    assert got.coords["name"].values.tolist() == ["m0", "m5", "m10"]
    assert np.array_equal(got.area.values, x.area.values[:, ::5])
    assert got.lon.attrs == x.lon.attrs


@pytest.mark.parametrize("taps", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("method", ["correlate", "convolve"])
@pytest.mark.parametrize(
    "options", [{"mode": "valid"}, {"mode": "valid", "stride": 2}, {"padding": (0,), "dilation": 2}]
)
def test_an_impulse_stays_at_its_coordinate(taps: int, method: str, options: Any) -> None:
    x = xarray.DataArray(np.zeros(20), {"x": np.arange(20.0) * 0.5 + 3})
    kernel = np.zeros(taps)
    kernel[taps // 2] = 1  # the anchor: this filter changes nothing
    x[10] = 1
    got = getattr(x.faltung, method)(kernel, "x", **options)
    assert np.array_equal(got.values, x.sel(x=got.x).values)
    assert got.sum() == (10.0 * 0.5 + 3 in got.x.values)


def test_even_coordinates_are_continued_beyond_the_array() -> None:
    x = field()
    got = x.drop_vars(["area", "name"]).faltung.correlate(np.ones((3, 3)), ("time", "lon"), mode="full")
    assert got.lon.values.tolist() == (np.arange(-1, 13) * 30.0).tolist()
    assert (np.diff(got.time.values) == np.timedelta64(6, "h")).all()
    assert got.time.values[1] == x.time.values[0]
    with pytest.warns(UserWarning, match="'area' is not known beyond the array"):
        got = x.drop_vars("name").faltung.correlate(np.ones(3), "lon", mode="full")
    assert "area" not in got.coords


def test_a_bank_has_a_dimension_of_its_own() -> None:
    x = field()
    got = x.faltung.correlate([np.array([1.0, 2.0]), np.array([3.0, 4.0])], "lon")
    assert got.dims == ("filter", "time", "lat", "lon")
    assert np.array_equal(got.values[1], x.faltung.correlate([3.0, 4.0], "lon").values)


def test_gaussian_in_units_of_the_coordinates() -> None:
    x = field(lats=33, lons=72)
    got = x.faltung.gaussian({"lat": 10.0, "lon": 15.0}, boundary={"lon": "wrap"})
    want = ndimage.gaussian_filter(x.values.astype(float), (0, 2, 3), mode=("nearest", "reflect", "wrap"))
    np.testing.assert_allclose(got.values, want, atol=1e-6)
    days = x.faltung.gaussian(np.timedelta64(6, "h"), "time")
    np.testing.assert_allclose(days.values, ndimage.gaussian_filter1d(x.values.astype(float), 1, 0), atol=1e-6)
    plain = x.drop_vars(["lat", "area"]).faltung.gaussian(2.0, "lat")
    np.testing.assert_allclose(plain.values, ndimage.gaussian_filter1d(x.values.astype(float), 2, 1), atol=1e-6)


def test_derivatives_are_per_unit_whichever_way_a_coordinate_runs() -> None:
    lat = np.linspace(80, -80, 81)
    slope = xarray.DataArray(3.0 * lat, {"lat": lat}).faltung.gaussian(4.0, order=1, dims="lat")
    np.testing.assert_allclose(slope.values[20:-20], 3.0)
    assert np.allclose(slope[::-1].values[20:-20], 3.0)


def test_dask_chunks_stay_lazy() -> None:
    pytest.importorskip("dask.array")
    x = field(6, 20, 40)
    k = np.random.default_rng(0).standard_normal((5, 7)).astype("f4")
    options: dict[str, Any] = {"dims": ("lat", "lon"), "boundary": {"lon": "wrap"}}
    lazy = x.chunk({"time": 2, "lat": 7, "lon": 11}).faltung.correlate(k, **options)
    assert lazy.chunks == ((2, 2, 2), (7, 7, 6), (11, 11, 11, 7))
    assert lazy.compute().identical(x.faltung.correlate(k, **options))


def test_uneven_coordinates_are_warned_of() -> None:
    x = field().assign_coords(lat=np.array([0, 1, 2, 3, 4, 5, 6, 7, 9.0]))
    with pytest.warns(UserWarning, match=r"'lat' is uneven, with steps from 1.0 to 2.0.*interpolate") as record:
        x.faltung.correlate([1.0, 2.0], "lat")
    assert record[0].filename == __file__
    with pytest.warns(UserWarning, match="uneven"):
        x.faltung.gaussian(2.0, "lat")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x.faltung.correlate([1.0, 2.0], "lon")
        rounded = field(lons=1440).assign_coords(lon=(np.arange(1440) * 0.25).astype("f4"))
        rounded.faltung.correlate([1.0, 2.0], "lon")


def test_clear_errors() -> None:
    x = field()
    for call, text in [
        (lambda: x.faltung.correlate([1, 1], "depth"), "no dimension 'depth'"),
        (lambda: x.faltung.correlate([1, 1]), "the kernel has 1 axes"),
        (lambda: x.faltung.correlate([1, 1], "lon", axes=0), "axes= is not for DataArrays"),
        (lambda: x.faltung.correlate([1, 1], "lon", boundary={"lat": "wrap"}), "boundary names 'lat'"),
        (lambda: x.faltung.gaussian({"lat": 1.0}, ("lat", "lon")), "sigma says nothing about 'lon'"),
        (lambda: x.swap_dims(lon="name").faltung.gaussian(1.0, "name"), "in which sigma has no unit"),
    ]:
        with pytest.raises(GeometryError, match=text):
            call()
    with pytest.raises(ProblemError, match="expected a time span"):
        x.faltung.gaussian(3.0, "time")
    with pytest.raises(ProblemError, match="expected a number"):
        x.faltung.gaussian(np.timedelta64(1, "h"), "lat")
