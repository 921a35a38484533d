"""libvips and astropy: Gaussian and box filters of pictures."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.work import MOST_SCALAR_MACS, Peer, Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.case import Array


def of(work: Work) -> Iterator[Peer]:
    """Give both for pictures whose kernel has a design."""
    if work.case.design == "random" or work.x.ndim != 2 or work.dtype.kind != "f":
        return
    if find_spec("pyvips"):
        yield _vips(work)
    if find_spec("astropy"):
        yield _astropy(work)


def _vips(work: Work) -> Peer:
    import pyvips

    pyvips.cache_set_max(0)  # it would give the last result again
    picture = pyvips.Image.new_from_array(work.padded.astype(work.dtype))
    # The kernel is square and a product of equal lines.
    line = work.kernel.sum(0, dtype=np.float64) / np.sqrt(work.kernel.sum(dtype=np.float64))
    mask, margin = pyvips.Image.new_from_array([line.tolist()]), work.kernel.shape[0] // 2
    height, width = work.x.shape

    def call() -> Array:
        smooth = picture.convsep(mask, precision="float").extract_area(margin, margin, width, height)
        result: Array = smooth.numpy()
        return result

    return Peer("pyvips", "convsep, precision 'float', pre-padded, float input", call)


def _astropy(work: Work) -> Peer:
    from astropy.convolution import convolve, convolve_fft

    x, kernel = work.padded.astype(work.dtype), work.kernel.astype(np.float64)
    kept = tuple(slice(k // 2, k // 2 + n) for k, n in zip(kernel.shape, work.x.shape, strict=True))
    small = work.x.size * kernel.size <= MOST_SCALAR_MACS

    def direct() -> Array:
        result: Array = convolve(x, kernel, boundary="fill", normalize_kernel=False)[kept]
        return result

    def transform() -> Array:
        result: Array = convolve_fft(x, kernel, boundary="fill", normalize_kernel=False, allow_huge=True)[kept]
        return result

    name, call = ("convolve", direct) if small else ("convolve_fft", transform)
    return Peer(f"astropy.{name}", f"{name}, pre-padded, in float64", call)
