"""What is read and written beside Zarr: OME-Zarr, TIFF, NPY, NetCDF; and the pyramid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

import faltung as ft
from faltung.errors import FileError, GeometryError, ProblemError
from faltung.files import job
from faltung.files.cut import Cut
from faltung.files.pyramid import pyramid
from faltung.files.stores import Address, open_source

if TYPE_CHECKING:
    from pathlib import Path

zarr = pytest.importorskip("zarr")

RNG = np.random.default_rng(3)
X = RNG.integers(0, 60000, (5, 70, 90)).astype(np.uint16)
K = np.arange(9.0, dtype=np.float32).reshape(3, 3)


def image(path: Path, zarr_format: int = 3, x: Any = X) -> str:
    described = {
        "axes": [{"name": "z", "type": "space", "unit": "micrometer"}, *({"name": n, "type": "space"} for n in "yx")],
        "datasets": [
            {"path": "s0", "coordinateTransformations": [
                {"type": "scale", "scale": [2.0, 0.5, 0.5]}, {"type": "translation", "translation": [10.0, 1.0, 0.0]}]},
            {"path": "s1", "coordinateTransformations": [{"type": "scale", "scale": [2.0, 1.0, 1.0]}]},
        ],
        "coordinateTransformations": [{"type": "scale", "scale": [1.0, 2.0, 2.0]}],
    }  # fmt: skip
    attributes = {"multiscales": [described], "omero": {"channels": []}}
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    group.attrs.put(attributes if zarr_format == 2 else {"ome": {"version": "0.5", **attributes}})
    group.create_array("s0", data=x, chunks=(2, 32, 32))
    group.create_array("s1", data=x[:, ::2, ::2], chunks=(2, 32, 32))
    return str(path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_ome_places_the_output_right_after_a_stride(tmp_path: Path, zarr_format: int) -> None:
    c = ft.Convolution(K, flip=False, axes=(1, 2), stride=(2, 3), mode="valid")
    job.apply(image(tmp_path / "x.zarr", zarr_format), tmp_path / "y.zarr", c)
    group = zarr.open_group(str(tmp_path / "y.zarr"), mode="r")
    assert group["0"][...].tobytes() == c(X).tobytes()
    found = dict(group.attrs) if zarr_format == 2 else group.attrs["ome"]
    assert found["omero"] == {"channels": []}
    (level,) = found["multiscales"][0]["datasets"]
    scale, shift = level["coordinateTransformations"]
    # Scales 2, 1 and 1, the first window's middle is sample 1 of y and x.
    assert scale == {"type": "scale", "scale": [2.0, 2.0, 3.0]}
    assert shift == {"type": "translation", "translation": [10.0, 3.0, 1.0]}
    assert [axis["name"] for axis in found["multiscales"][0]["axes"]] == ["z", "y", "x"]
    about = open_source(Address(str(tmp_path / "y.zarr"))).about
    assert (about.scale, about.translation, about.letters) == ((2.0, 2.0, 3.0), (10.0, 3.0, 1.0), "zyx")


def test_a_level_is_chosen_by_name(tmp_path: Path) -> None:
    assert open_source(Address(image(tmp_path / "x.zarr"), "s1")).shape == (5, 35, 45)


@pytest.mark.parametrize("options", [{"tile": (16, 32)}, {"rowsperstrip": 7}, {}])
def test_tiff_is_read_by_tile_or_strip(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, X, compression="zlib", metadata={"axes": "ZYX"}, photometric="minisblack", **options)
    source = open_source(Address(str(path)))
    assert source.about.letters == "zyx"
    assert source.blocks == (1, *(options.get("tile") or (options.get("rowsperstrip", 70), 90)))
    assert source.read(((1, 3), (4, 60), (50, 90))).tobytes() == X[1:3, 4:60, 50:90].tobytes()
    source.close()
    c = ft.Convolution(K, axes=(1, 2))
    job.apply(path, tmp_path / "y.zarr", c)
    assert zarr.open_array(str(tmp_path / "y.zarr"), mode="r")[...].tobytes() == c(X).tobytes()


def test_the_missing_value_of_a_geotiff(tmp_path: Path) -> None:
    x = X[0].astype(np.float32)
    x[3, 4] = -1
    tifffile.imwrite(tmp_path / "x.tif", x, extratags=[(42113, "s", 0, "-1", True)])
    job.apply(tmp_path / "x.tif", tmp_path / "y.zarr", ft.Convolution(K))
    found = zarr.open_array(str(tmp_path / "y.zarr"), mode="r")
    assert (found[...] == -1).sum() == 9
    assert found.attrs["nodata"] == -1


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_to_npy(tmp_path: Path, order: Any) -> None:
    np.save(tmp_path / "x.npy", np.asarray(X, order=order))
    c = ft.Convolution(K, axes=(1, 2), boundary="wrap")
    job.apply(tmp_path / "x.npy", tmp_path / "y.npy", c)
    found = np.load(tmp_path / "y.npy")
    assert (found.tobytes(), found.dtype) == (c(X).tobytes(), c(X).dtype)
    assert {p.name for p in tmp_path.iterdir()} == {"x.npy", "y.npy"}


def test_npy_in_many_regions(tmp_path: Path) -> None:
    x = RNG.standard_normal((300, 400))
    np.save(tmp_path / "x.npy", x)
    c = ft.Convolution(K)
    prepared = job.prepare(tmp_path / "x.npy", tmp_path / "y.npy", c)
    done = job.run(replace(prepared, cut=Cut((300, 400), (70, 90), 0)))
    assert done.computed == 25
    assert np.load(tmp_path / "y.npy").tobytes() == c(x).tobytes()


@pytest.mark.filterwarnings("ignore")
def test_netcdf_keeps_coordinates_and_decodes(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    packed = RNG.integers(0, 100, (12, 20)).astype(np.int16)
    packed[2, 2] = -1
    array = xarray.DataArray(packed, dims=("lat", "lon"), coords={"lat": np.arange(12.0), "lon": np.arange(20.0) * 5},
                             attrs={"scale_factor": 0.1, "_FillValue": np.int16(-1), "units": "m"}, name="h")  # fmt: skip
    array.to_dataset().to_netcdf(tmp_path / "x.nc", engine="h5netcdf", encoding={"h": {"chunksizes": (5, 5)}})
    c = ft.Convolution(K, stride=2)
    job.apply(tmp_path / "x.nc", tmp_path / "y.zarr", c)
    opened = xarray.open_zarr(tmp_path / "y.zarr", consolidated=False)
    values = np.where(packed == -1, np.float32(np.nan), packed.astype(np.float32) * np.float32(0.1))
    np.testing.assert_array_equal(opened["h"].values, c(values))
    assert opened["lon"].values.tolist() == list(range(0, 100, 10))
    assert opened["h"].attrs["units"] == "m"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(b"II*\0 no picture")
    with pytest.raises(FileError, match="holds no picture"):
        open_source(Address(str(tmp_path / "x.tif")))
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(FileError, match="cannot be read"):
        open_source(Address(str(tmp_path / "x.zarr")))
    np.save(tmp_path / "names.npy", np.array(["a"]))
    with pytest.raises(FileError, match="not numeric"):
        open_source(Address(str(tmp_path / "names.npy")))


def halved(x: np.ndarray[Any, Any], axes: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Sum four samples at a time, as the definition of the binomial pyramid has it."""
    for axis in axes:
        padded = np.pad(x, [(1, 3) if a == axis else (0, 0) for a in range(x.ndim)], mode="symmetric")
        at = np.arange(0, x.shape[axis], 2)
        x = sum(w / 8 * padded.take(at + i, axis) for i, w in enumerate((1, 3, 3, 1)))  # type: ignore[assignment]
    return x


def test_pyramid_levels_and_their_places(tmp_path: Path) -> None:
    x = RNG.standard_normal((6, 301, 200))
    shapes = pyramid(image(tmp_path / "x.zarr", x=x), tmp_path / "p.zarr", levels=3, axes=(1, 2))
    assert shapes == [(6, 301, 200), (6, 151, 100), (6, 76, 50)]
    group = zarr.open_group(str(tmp_path / "p.zarr"), mode="r")
    np.testing.assert_array_equal(group["0"][...], x)
    np.testing.assert_allclose(group["1"][...], halved(x, (1, 2)), rtol=0, atol=1e-14)
    np.testing.assert_allclose(group["2"][...], halved(halved(x, (1, 2)), (1, 2)), rtol=0, atol=1e-14)
    levels = group.attrs["ome"]["multiscales"][0]["datasets"]
    assert [level["path"] for level in levels] == ["0", "1", "2"]
    scales = [level["coordinateTransformations"][0]["scale"] for level in levels]
    shifts = [level["coordinateTransformations"][1]["translation"] for level in levels]
    assert scales == [[2.0, 1.0, 1.0], [2.0, 2.0, 2.0], [2.0, 4.0, 4.0]]
    assert shifts == [[10.0, 2.0, 0.0], [10.0, 2.5, 0.5], [10.0, 3.5, 1.5]]
    assert {p.name for p in (tmp_path / "p.zarr").iterdir()} == {"0", "1", "2", "zarr.json"}


def test_pyramid_of_integers_is_resumed_and_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X[0])
    pyramid(tmp_path / "x.npy", tmp_path / "p.zarr", levels=2, kernel="gaussian")
    with pytest.raises(FileError, match="exists already"):
        pyramid(tmp_path / "x.npy", tmp_path / "p.zarr", levels=2)
    pyramid(tmp_path / "x.npy", tmp_path / "p.zarr", levels=3, kernel="gaussian", resume=True)
    group = zarr.open_group(str(tmp_path / "p.zarr"), mode="r")
    assert group["2"].shape == (18, 23)
    assert group["2"].dtype == np.uint16
    with pytest.raises(ProblemError, match="binomial or gaussian"):
        pyramid(tmp_path / "x.npy", tmp_path / "q.zarr", kernel="box")
    np.save(tmp_path / "four.npy", np.zeros((2, 2, 2, 2)))
    with pytest.raises(GeometryError, match="spatial"):
        pyramid(tmp_path / "four.npy", tmp_path / "q.zarr")
