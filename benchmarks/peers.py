"""The peers: each library's best way to compute a case, with preallocated output where it takes one.

What a library lacks is done for it outside the timing: dilation by a kernel with zeros (SciPy, OpenCV and
scikit-image skip them), stride by a view of the dense result, and for the peers called pre-padded the padding.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import designed_peers, science_peers, torch_peers
from benchmarks.work import Peer, Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.case import Array, Case

MODULES = {
    "NumPy": "numpy", "SciPy": "scipy", "OpenCV": "cv2", "torch": "torch", "scikit-image": "skimage",
    "pyvips": "pyvips", "astropy": "astropy",
}  # fmt: skip
NDIMAGE = {"zero": "constant", "edge": "nearest", "reflect": "mirror", "symmetric": "reflect", "wrap": "grid-wrap"}
OPENCV = {"zero": "CONSTANT", "edge": "REPLICATE", "reflect": "REFLECT_101", "symmetric": "REFLECT"}


def of(case: Case, x: Array, kernel: Array, dtype: np.dtype[Any]) -> list[Peer]:
    """Give every installed peer that can compute the case."""
    work = Work(case, x, kernel, dtype)
    libraries = (_numpy, _ndimage, _signal, _skimage, _opencv, torch_peers.of, designed_peers.of, science_peers.of)
    return [peer for library in libraries for peer in library(work)]


def missing() -> list[str]:
    return [name for name, module in MODULES.items() if find_spec(module) is None]


def _numpy(work: Work) -> Iterator[Peer]:
    if not work.small:
        return
    if work.x.ndim == 1:
        line, kernel, kept = work.padded.astype(work.sums), work.dilated.astype(work.sums), work.case.strided
        yield Peer("numpy", "correlate, pre-padded, converted", lambda: np.correlate(line, kernel, "valid")[kept])
        return
    weights = work.spanned.astype(work.sums).conj()
    windows = []
    for tap in zip(*np.nonzero(weights), strict=True):
        ends = zip(tap, work.x.shape, strict=True)
        windows.append((work.padded[tuple(slice(t, t + n) for t, n in ends)][work.case.strided], weights[tap]))
    total, term = np.empty((2, *windows[0][0].shape), work.sums)
    finish = work.finish(total)

    def call() -> Array:
        total.fill(0)
        for window, weight in windows:
            np.add(total, np.multiply(window, weight, out=term), out=total)
        return finish()

    yield Peer("numpy", "one shifted view per tap, pre-padded", call)


def _ndimage(work: Work) -> Iterator[Peer]:
    if not (work.small and find_spec("scipy")):
        return
    from scipy import ndimage

    rule, _, value = work.case.boundary.partition(":")
    x, crop, settings = work.x, work.case.strided, f"correlate, output=, mode {NDIMAGE.get(rule, rule)!r}"
    if rule.startswith("anti"):  # it has no odd extension: pad beforehand, filter more than is needed
        x, rule, settings = work.padded, "edge", "correlate, output=, pre-padded"
        margins = zip(work.spanned.shape, work.x.shape, strict=True)
        crop = tuple(slice(k // 2, k // 2 + n, s.step) for (k, n), s in zip(margins, crop, strict=True))
    options = {"mode": NDIMAGE.get(rule, "constant"), "cval": int(value or 0)}
    dense = np.empty(x.shape, work.sums)
    finish = work.finish(dense[crop])

    def call() -> Array:
        ndimage.correlate(x, work.spanned, output=dense, **options)
        return finish()

    yield Peer("scipy.ndimage", settings, call)


def _signal(work: Work) -> Iterator[Peer]:
    if work.dtype.kind not in "fc" or not find_spec("scipy"):
        return
    from scipy.signal import oaconvolve

    padded, kernel = work.padded.astype(work.dtype), np.flip(work.spanned).conj().astype(work.dtype)
    axes = work.case.filtered

    def call() -> Any:
        return oaconvolve(padded, kernel, "valid", axes=axes)[work.case.strided]

    yield Peer("scipy.signal", "oaconvolve, pre-padded, converted", call)


def _skimage(work: Work) -> Iterator[Peer]:
    rule, odd = work.case.boundary, all(k % 2 for k in work.kernel.shape)
    if rule not in NDIMAGE or not (odd and work.small and work.dtype.kind == "f" and find_spec("skimage")):
        return
    from skimage.filters import correlate_sparse

    x, mode, kept = work.x.astype(work.dtype, copy=False), NDIMAGE[rule].removeprefix("grid-"), work.case.strided
    kernel = work.spanned.astype(work.dtype)

    def call() -> Any:
        return correlate_sparse(x, kernel, mode)[kept]  # type: ignore[no-untyped-call]

    yield Peer("scikit-image", f"correlate_sparse, mode {mode!r}", call)


def _opencv(work: Work) -> Iterator[Peer]:
    interleaved = work.x.ndim == 3 and work.case.filtered == (0, 1) and work.x.shape[2] <= 4
    image = work.x.ndim <= 2 or interleaved
    fits = image and work.dtype.kind in "fu" and work.kernel.dtype.kind == "f" and work.x.dtype.kind in "fu"
    if not (fits and work.case.boundary in OPENCV and find_spec("cv2")):
        return
    import cv2

    border = OPENCV[work.case.boundary]
    rule, depth = getattr(cv2, f"BORDER_{border}"), {1: cv2.CV_8U, 2: cv2.CV_16U, 4: cv2.CV_32F, 8: cv2.CV_64F}
    x, kernel = (a[None] if work.x.ndim == 1 else a for a in (work.x, work.dilated))
    dense = np.empty(x.shape, work.dtype)
    kept = dense.reshape(work.x.shape)[work.case.strided]

    def call() -> Array:
        cv2.filter2D(x, depth[work.dtype.itemsize], kernel, dst=dense, borderType=rule)
        return kept

    yield Peer("opencv", f"filter2D, dst=, BORDER_{border}", call)
