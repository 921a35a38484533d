"""Templates: normalised cross-correlation against OpenCV and scikit-image."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

import faltung as ft
from benchmarks.check import positions
from benchmarks.contest import Contest
from benchmarks.work import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.case import Array

SIDES, TEMPLATES = (512, 1024, 2048), (7, 15, 31, 63, 127)


def sizes(quick: bool) -> list[tuple[int, int]]:
    """List sides of pictures and templates."""
    return [(200, 15)] if quick else [(side, k) for side in SIDES for k in TEMPLATES]


def contest(threads: int, side: int, k: int) -> Contest:
    """Search a part of a picture in it."""
    generator = np.random.default_rng(0)
    x = generator.random((side, side), np.float32)
    template = x[30 : 30 + k, 50 : 50 + k].copy()
    at = positions((side - k + 1, side - k + 1))
    return Contest(
        group="templates",
        name=f"float32 {side}x{side}, template {k}x{k}",
        ours=lambda: ft.match_template(x, template, threads=threads),
        rivals=[*_opencv(x, template), *_skimage(x, template)],
        at=at,
        exact=np.array([coefficient(x[i : i + k, j : j + k], template) for i, j in at]),
        tolerance=1e-4,
    )


def coefficient(window: Array, template: Array) -> np.longdouble:
    """Give the correlation coefficient by its formula, in extended precision."""
    a, b = (part.astype(np.longdouble) - part.mean(dtype=np.longdouble) for part in (window, template))
    found: np.longdouble = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    return found


def _opencv(x: Array, template: Array) -> Iterator[Peer]:
    if find_spec("cv2"):
        import cv2

        method = cv2.TM_CCOEFF_NORMED
        yield Peer("opencv", "matchTemplate, TM_CCOEFF_NORMED", lambda: cv2.matchTemplate(x, template, method))


def _skimage(x: Array, template: Array) -> Iterator[Peer]:
    if find_spec("skimage"):
        from skimage.feature import match_template

        yield Peer("scikit-image", "match_template", lambda: match_template(x, template))
