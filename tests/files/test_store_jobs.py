"""Jobs on stores: the bits of the answer in memory, bounded, and refused where they must be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import faltung as ft
from faltung.errors import FileError, GeometryError, PlanError, ProblemError
from faltung.files import job
from faltung.files.cut import Budget, Cut, cut
from faltung.files.reader import Reader
from faltung.files.stores import Address, open_source

if TYPE_CHECKING:
    from pathlib import Path

zarr = pytest.importorskip("zarr")

RNG = np.random.default_rng(7)
X = RNG.standard_normal((23, 31, 19)).astype(np.float32) * np.float32(10.0) ** RNG.integers(-3, 3, (23, 31, 19))
X = X.astype(np.float32)
K = RNG.standard_normal((3, 5, 3)).astype(np.float32)


def stored(path: Path, x: Any = X, chunks: Any = (8, 7, 10), **options: Any) -> str:
    zarr.create_array(str(path), data=x, chunks=chunks, **options)
    return str(path)


def read(path: Any, part: str = "") -> np.ndarray[Any, Any]:
    return np.asarray(zarr.open_array(str(path), path=part, mode="r")[...])


def equal(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert found.tobytes() == expected.tobytes()


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "boundary": "wrap"}, {"mode": "full", "dilation": 2}])
def test_the_output_has_the_bits_of_the_answer_in_memory(
    tmp_path: Path, zarr_format: int, options: dict[str, Any]
) -> None:
    c = ft.Convolution(K, **options)
    done = job.apply(stored(tmp_path / "x.zarr", zarr_format=zarr_format), tmp_path / "y.zarr", c)
    equal(read(tmp_path / "y.zarr"), ft.convolve(X, K, **options))
    assert zarr.open_array(str(tmp_path / "y.zarr"), mode="r").metadata.zarr_format == zarr_format
    assert done.shape == c.output_shape(X.shape)
    assert {p.name for p in tmp_path.iterdir()} == {"x.zarr", "y.zarr"}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    blocks=st.tuples(*[st.sampled_from([1, 3, 7, 13, 40])] * 3),
    units=st.tuples(*[st.sampled_from([4, 5, 11, 40])] * 3),
    boundary=st.sampled_from(["zero", "wrap", "reflect", "antireflect"]),
    stride=st.integers(1, 3),
    algorithm=st.sampled_from([None, "direct", "fourier"]),
    room=st.sampled_from([0, 2000, 10**8]),
)
def test_regions_of_any_cut_have_equal_bits(
    blocks: tuple[int, ...], units: tuple[int, ...], boundary: str, stride: int, algorithm: str | None, room: int
) -> None:
    plan = ft.Convolution(K, boundary=boundary, stride=stride).plan(X.shape, X.dtype, algorithm=algorithm)
    source = Memory(X, blocks)
    # The smallest budget: what one unit takes.
    units = tuple(min(u, n) for u, n in zip(units, plan.problem.output_shape, strict=True))
    tight = plan.region_bytes([(0, n) for n in plan.problem.output_shape], 1)
    found = cut(plan, source, units, Budget(tight, 0, 1, ""))
    out = np.empty(plan.problem.output_shape, np.float32)
    reader = Reader(source, plan, room, 1)
    for run in found.runs():
        reader.expect(run)
        for region in run:
            assert all(a % u == 0 for (a, _), u in zip(region, units, strict=True))
            out[tuple(slice(*one) for one in region)] = plan.run_region(reader.read(region), region)
        assert reader.used <= room
    equal(out, plan(X))


class Memory:
    """An array in memory that is read by blocks."""

    working, seekable = 0, False

    def __init__(self, x: np.ndarray[Any, Any], blocks: tuple[int, ...]) -> None:
        self.x, self.shape, self.dtype, self.blocks = x, x.shape, x.dtype, blocks
        self.reads: list[Any] = []

    def read(self, box: Any) -> np.ndarray[Any, Any]:
        self.reads.append(box)
        return self.x[tuple(slice(*one) for one in box)].copy()


def test_within_a_run_each_block_is_decoded_once() -> None:
    x = np.arange(64 * 16, dtype=np.float32).reshape(64, 16)
    plan = ft.Convolution(np.ones((5, 3), np.float32)).plan(x.shape, x.dtype)
    source = Memory(x, (8, 16))
    reader = Reader(source, plan, 10**6, 1)
    run = [((start, start + 8), (0, 16)) for start in range(0, 64, 8)]
    reader.expect(run)
    for region in run:
        plan.run_region(reader.read(region), region)
    assert len(source.reads) == 8
    assert reader.used == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_many_regions_in_one_process_and_in_several(tmp_path: Path, workers: int) -> None:
    c = ft.Convolution(K, boundary="wrap")
    prepared = job.prepare(stored(tmp_path / "x.zarr"), tmp_path / "y.zarr", c, workers=workers, threads=1)
    done = job.run(replace(prepared, cut=Cut(X.shape, (8, 14, 10), 0)))
    assert done.computed == 18
    equal(read(tmp_path / "y.zarr"), ft.convolve(X, K, boundary="wrap"))


def test_a_smaller_limit_makes_smaller_regions() -> None:
    plan = ft.Convolution(K).plan((400, 400, 400), np.float32)
    source = Memory(np.empty((400, 400, 400), np.float32), (16, 16, 16))
    sizes = []
    for room in (10**7, 10**8, 10**9):
        found = cut(plan, source, (16, 16, 16), Budget(room, 10**6, 1, ""))
        sizes.append(np.prod(found.sizes))
        assert max(plan.region_bytes(region, 1) for run in found.runs() for region in run) <= room - 10**6
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[1]


def test_a_limit_that_cannot_be_kept_is_refused_with_the_arithmetic(tmp_path: Path) -> None:
    source = stored(tmp_path / "x.zarr")
    with pytest.raises(PlanError, match=r"of the 1,000,000 bytes allowed, .* are this process"):
        job.apply(source, tmp_path / "y.zarr", ft.Convolution(K), max_memory=10**6)
    assert not (tmp_path / "y.zarr").exists()
    plan = ft.Convolution(K).plan(X.shape, X.dtype)
    with pytest.raises(PlanError, match=r"one chunk or shard of the output, 8 x 7 x 10 samples, needs [0-9,]+ bytes"):
        cut(plan, open_source(Address(source)), (8, 7, 10), Budget(1000, 0, 1, "1000 are allowed"))


def test_shards_chunks_and_codec_are_kept_and_can_be_chosen(tmp_path: Path) -> None:
    from zarr.codecs import GzipCodec

    source = stored(tmp_path / "x.zarr", X, (4, 4, 5), shards=(8, 8, 10), compressors=GzipCodec(level=1))
    job.apply(source, tmp_path / "y.zarr", ft.Convolution(K))
    made = zarr.open_array(str(tmp_path / "y.zarr"), mode="r")
    assert (made.chunks, made.shards, made.compressors) == ((4, 4, 5), (8, 8, 10), (GzipCodec(level=1),))
    equal(made[...], ft.convolve(X, K))
    job.apply(source, tmp_path / "z.zarr", ft.Convolution(K), chunks=(5, 31, 19), shards=(10, 31, 19))
    made = zarr.open_array(str(tmp_path / "z.zarr"), mode="r")
    assert (made.chunks, made.shards) == ((5, 31, 19), (10, 31, 19))
    equal(made[...], ft.convolve(X, K))
    with pytest.raises(GeometryError, match="no multiples of the chunks"):
        job.apply(source, tmp_path / "w.zarr", ft.Convolution(K), chunks=(4, 4, 4), shards=(6, 8, 8))


def test_negative_zeros_are_stored(tmp_path: Path) -> None:
    x = np.full((8, 8), -0.0)
    source = stored(tmp_path / "x.zarr", x + 0, (4, 4), config={"write_empty_chunks": True})
    job.apply(source, tmp_path / "y.zarr", ft.Convolution([[-1.0]]))
    equal(read(tmp_path / "y.zarr"), ft.Convolution([[-1.0]])(x))


def test_fill_value_attributes_and_names_are_carried(tmp_path: Path) -> None:
    source = stored(tmp_path / "x.zarr", X, attributes={"units": "K"}, fill_value=5.0, dimension_names=("z", "y", "x"))
    job.apply(source, tmp_path / "y.zarr", ft.Convolution(K))
    made = zarr.open_array(str(tmp_path / "y.zarr"), mode="r")
    assert made.fill_value == 5.0
    assert made.metadata.dimension_names == ("z", "y", "x")
    assert made.attrs["units"] == "K"


def test_missing_samples_spoil_their_windows_alone_and_stay_missing(tmp_path: Path) -> None:
    x = RNG.integers(0, 100, (20, 20)).astype(np.int16)
    x[5, 7] = -999
    source = stored(tmp_path / "x.zarr", x, (6, 6), attributes={"_FillValue": -999, "scale_factor": 0.5})
    job.apply(source, tmp_path / "y.zarr", ft.Convolution(np.ones((3, 3), np.float32), boundary="zero"))
    inside = np.where(x == -999, np.float32(np.nan), x.astype(np.float32) * np.float32(0.5))
    expected = ft.convolve(inside, np.ones((3, 3), np.float32), boundary="zero")
    assert np.isnan(expected).sum() == 9
    made = zarr.open_array(str(tmp_path / "y.zarr"), mode="r")
    equal(made[...], np.where(np.isnan(expected), np.float32(-999), expected))
    assert open_source(Address(str(tmp_path / "y.zarr"))).about.attributes["_FillValue"] == -999
    assert "scale_factor" not in made.attrs


def test_a_bank_of_filters_stacks_maps(tmp_path: Path) -> None:
    c = ft.Convolution([K, 2 * K])
    job.apply(stored(tmp_path / "x.zarr"), tmp_path / "y.zarr", c)
    equal(read(tmp_path / "y.zarr"), c(X))


def test_an_empty_array_and_a_scalar(tmp_path: Path) -> None:
    job.apply(stored(tmp_path / "x.zarr", np.zeros((0, 4)), (1, 4)), tmp_path / "y.zarr", ft.Convolution([[1.0]]))
    assert read(tmp_path / "y.zarr").shape == (0, 4)


def test_memory_store_by_url(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    zarr.create_array("memory://jobs/x.zarr", data=X, chunks=(8, 7, 10))
    job.apply("memory://jobs/x.zarr", "memory://jobs/y.zarr", ft.Convolution(K))
    equal(np.asarray(zarr.open_array("memory://jobs/y.zarr", mode="r")[...]), ft.convolve(X, K))
    with pytest.raises(FileError, match="exists already"):
        job.apply("memory://jobs/x.zarr", "memory://jobs/y.zarr", ft.Convolution(K))
    assert job.apply("memory://jobs/x.zarr", "memory://jobs/y.zarr", ft.Convolution(K), resume=True).computed == 0


def test_what_is_refused(tmp_path: Path) -> None:
    source, c = stored(tmp_path / "x.zarr"), ft.Convolution(K)
    with pytest.raises(FileError, match="no such file or store"):
        job.apply(tmp_path / "nothing.zarr", tmp_path / "y.zarr", c)
    with pytest.raises(FileError, match="is input and output"):
        job.apply(source, source + "/", c)
    with pytest.raises(ProblemError, match="give one of them"):
        job.apply(source, tmp_path / "y.zarr", c, workers=2, scheduler="tcp://x:1")
    with pytest.raises(FileError, match=r"a job writes Zarr \(OUT.zarr\) or NPY"):
        job.apply(source, tmp_path / "y.tif", c)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis").write_text("words")
    with pytest.raises(FileError, match="is no Zarr store, so it is not deleted"):
        job.apply(source, tmp_path / "precious", c, force=True)
    assert (tmp_path / "precious" / "thesis").read_text() == "words"
    assert not list(tmp_path.glob("*.faltung-job"))
    zarr.open_group(str(tmp_path / "g.zarr"), mode="w").create_array("a", shape=(3,), dtype="f4")
    zarr.open_group(str(tmp_path / "g.zarr"), mode="a").create_array("b", shape=(3,), dtype="f4")
    with pytest.raises(FileError, match=r"several arrays or none \(a, b\); choose one with --part"):
        job.apply(tmp_path / "g.zarr", tmp_path / "y.zarr", c)
    job.apply(tmp_path / "g.zarr", tmp_path / "y.zarr", ft.Convolution([1.0, 2.0]), part="b")


def test_metadata_is_json(tmp_path: Path) -> None:
    job.apply(stored(tmp_path / "x.zarr"), tmp_path / "y.zarr", ft.Convolution(K))
    found = json.loads((tmp_path / "y.zarr" / "zarr.json").read_text())["attributes"]["faltung"]
    assert set(found) == {"plan", "token", "input"}
