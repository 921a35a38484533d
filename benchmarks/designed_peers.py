"""Peers that know what a kernel is: Gaussian and box filters of their own."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.work import Peer, Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.case import Array

NDIMAGE = {"zero": "constant", "edge": "nearest", "reflect": "mirror", "symmetric": "reflect", "wrap": "grid-wrap"}
OPENCV = {"zero": "CONSTANT", "edge": "REPLICATE", "reflect": "REFLECT_101", "symmetric": "REFLECT"}


def of(work: Work) -> Iterator[Peer]:
    """Give the functions made for the case's design."""
    design, _, sigma = work.case.design.partition(":")
    if design == "random" or work.dtype.kind != "f":
        return
    if find_spec("scipy"):
        yield _ndimage(work, design, float(sigma or 0))
    if find_spec("cv2") and work.x.ndim == 2 and work.case.boundary in OPENCV:
        yield _opencv(work, design, float(sigma or 0))


def _ndimage(work: Work, design: str, sigma: float) -> Peer:
    from scipy import ndimage

    mode, out = NDIMAGE[work.case.boundary], np.empty(work.x.shape, work.dtype)

    def gaussian() -> Array:
        ndimage.gaussian_filter(work.x, sigma, output=out, mode=mode, truncate=4)
        return out

    def box() -> Array:
        ndimage.uniform_filter(work.x, work.kernel.shape, output=out, mode=mode)
        return out

    name, call = ("gaussian_filter", gaussian) if design == "gaussian" else ("uniform_filter", box)
    return Peer(f"scipy.{name}", f"ndimage.{name}, output=, mode {mode!r}", call)


def _opencv(work: Work, design: str, sigma: float) -> Peer:
    import cv2

    border = OPENCV[work.case.boundary]
    rule, size = getattr(cv2, f"BORDER_{border}"), tuple(reversed(work.kernel.shape))
    x, out = work.x.astype(work.dtype), np.empty(work.x.shape, work.dtype)

    def gaussian() -> Array:
        cv2.GaussianBlur(x, size, sigma, dst=out, borderType=rule)
        return out

    def box() -> Array:
        cv2.boxFilter(x, -1, size, dst=out, borderType=rule)
        return out

    name, call = ("GaussianBlur", gaussian) if design == "gaussian" else ("boxFilter", box)
    return Peer(f"opencv.{name}", f"{name}, dst=, BORDER_{border}, float input", call)
