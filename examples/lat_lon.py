"""A field on the globe over time, filtered by the names of its dimensions: run `python examples/lat_lon.py`.

Two years of daily temperatures are generated: warm at the equator, seasons of opposite sign in both hemispheres,
waves that travel eastward around the globe, and noise. They are smoothed in the units of their coordinates, with
longitudes that wrap around; thinned out; and filtered once more from a NetCDF file, lazily and chunk by chunk.
Needs xarray and dask.
"""

import tempfile
from pathlib import Path

import numpy as np
import xarray

import faltung.arrays.xarray  # noqa: F401 (gives every DataArray its .faltung)


def temperatures(days: int = 730, step: float = 4.0) -> xarray.DataArray:
    """Make up temperatures (time, lat, lon) in kelvin, on a grid of so many degrees."""
    lat = np.arange(90 - step / 2, -90, -step)
    lon = np.arange(0, 360, step)
    day = np.arange(days)
    t, y, x = day[:, None, None], np.deg2rad(lat)[:, None], np.deg2rad(lon)
    climate = 255 + 45 * np.cos(y) ** 2 - 12 * np.sin(y) * np.cos(2 * np.pi * (t - 15) / 365.25)
    waves = 6 * np.cos(y) ** 2 * np.cos(5 * x - 2 * np.pi * t / 8) * np.sin(2 * np.abs(y))
    noise = np.random.default_rng(0).normal(0, 2, (days, len(lat), len(lon)))
    return xarray.DataArray(
        (climate + waves + noise).astype(np.float32),
        {
            "time": np.datetime64("2001-01-01", "ns") + day * np.timedelta64(1, "D"),
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
        ("time", "lat", "lon"),
        name="t2m",
        attrs={"units": "K", "long_name": "temperature at two metres"},
    )


def main() -> None:
    t = temperatures()
    print(f"1. {t.name}: {dict(t.sizes)}, from {float(t.min()):.1f} to {float(t.max()):.1f} {t.units}")

    season = t.faltung.gaussian(np.timedelta64(20, "D"), "time")
    weather = t - season
    print(f"2. without the seasons: {float(weather.std()):.2f} K around {float(weather.mean()):.2f}")

    globe = {"dims": ("lat", "lon"), "boundary": {"lat": "edge", "lon": "wrap"}}
    smooth = weather.faltung.gaussian(6.0, **globe)
    print(f"3. smoothed over 6 degrees, noise falls from {noise(weather):.2f} to {noise(smooth):.2f} K")

    # Where the map is cut makes no difference.
    turned = weather.roll(lon=30, roll_coords=True).assign_coords(lon=t.lon)
    same = np.array_equal(turned.faltung.gaussian(6.0, **globe).values, np.roll(smooth.values, 30, axis=2))
    print(f"4. the map cut elsewhere gives the same, bit for bit: {same}")

    east = smooth.faltung.gaussian({"lon": 6.0}, order=1, boundary="wrap")
    print(f"5. steepest slope to the east: {float(abs(east).max()):.2f} K per degree, near {place(abs(east))}")

    coarse = t.faltung.correlate(np.full((3, 3), 1 / 9), **globe, stride=3)
    print(f"6. means of 3 x 3 cells: {dict(coarse.sizes)}, longitudes {coarse.lon.values[:3]}..., units {coarse.units}")

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "t2m.nc"
        weather.rename("t2m").to_netcdf(file, engine="scipy")
        with xarray.open_dataset(file, engine="scipy", chunks={"time": 100, "lat": 20, "lon": 40}) as stored:
            lazy = stored.t2m.faltung.gaussian(6.0, **globe)
            print(f"7. from NetCDF, in {lazy.data.npartitions} chunks of {lazy.data.chunksize}, not computed yet")
            print(f"8. computed, it is the same bit for bit: {lazy.compute().equals(smooth)}")


def noise(x: xarray.DataArray) -> float:
    """Tell how much days of one place differ from their neighbours, which waves hardly do."""
    return float(x.diff("lon").std()) / np.sqrt(2)


def place(x: xarray.DataArray) -> str:
    """Name the place of the largest value."""
    at = x.isel(x.argmax(...))
    return f"{float(at.lat):.0f} N {float(at.lon):.0f} E on {np.datetime_as_string(at.time.values, 'D')}"


if __name__ == "__main__":
    main()
