"""Draw the pictures of docs/filters.md: run `python docs/make_filter_pictures.py`, with --check to compare only.

Each picture has three panels: the kernel (red above 0, blue below), the magnitude of its frequency response (frequency
0 in the middle, the Nyquist frequency at the rim, white is the largest), and what it makes of a chart. Results that may
be negative are coloured like the kernel, the others are grey.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import faltung as ft
from faltung.filters.colours import colours, enlarged, plane

if TYPE_CHECKING:
    from faltung.filters import Filter

FOLDER = Path(__file__).parent / "pictures" / "filters"
SIZE, GAP = 160, 8
TOLERANCE = 4  # of 255: another instruction set rounds otherwise

f = ft.filters
SHOWN = {
    "gaussian": f.gaussian(2),
    "gaussian_order": f.gaussian(2, order=(0, 1)),
    "box": f.box(7),
    "disk": f.disk(4.5),
    "binomial": f.binomial(5),
    "lanczos": f.lanczos(3),
    "motion": f.motion(15, angle=30),
    "sobel": f.sobel(),
    "scharr": f.scharr(),
    "laplacian": f.laplacian(),
    "log": f.log(2),
    "dog": f.dog(2),
    "gabor": f.gabor(8, angle=30),
    "sharpen": f.sharpen(),
    "unsharp": f.unsharp(1),
    "composed": f.gaussian(2, order=(2, 0)) - f.gaussian(2, order=(0, 2)),
}


def chart() -> np.ndarray:
    """Draw a star of 16 rays, sharp in the middle of a slope."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE * 2 - 1
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    star = 0.5 + 0.5 * np.sign(np.sin(16 * angle + 0.1))
    return np.where(radius < 0.85, star, 0.35 + 0.3 * (x + 1) / 2)


def response(taps: np.ndarray) -> np.ndarray:
    """Draw the magnitude of the frequency response."""
    values = np.abs(np.fft.fftshift(np.fft.fft2(taps, (SIZE, SIZE))))
    return grey(values / values.max())


def grey(values: np.ndarray) -> np.ndarray:
    """Turn 0 to 1 into grey levels."""
    levels = np.rint(255 * values.clip(0, 1)).astype(np.uint8)
    return np.stack([levels] * 3, axis=-1)


def picture(filter_: Filter) -> np.ndarray:
    """Put the three panels side by side."""
    kernel = enlarged(plane(filter_.kernel, filter_.anchor), SIZE)[:SIZE, :SIZE]
    low = [(SIZE - n) // 2 for n in kernel.shape[:2]]
    panel = np.full((SIZE, SIZE, 3), 255, np.uint8)
    panel[low[0] : low[0] + kernel.shape[0], low[1] : low[1] + kernel.shape[1]] = kernel
    result = ft.correlate(chart(), filter_, anchor=filter_.anchor, boundary="edge")
    signed = abs(filter_.kernel.sum()) < 0.5
    gap = np.full((SIZE, GAP, 3), 255, np.uint8)
    shown = colours(result) if signed else grey(result)
    panels = [framed(p) for p in (panel, response(filter_.kernel), shown)]
    return np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)


def framed(panel: np.ndarray) -> np.ndarray:
    """Draw a thin line around a panel."""
    panel[[0, -1]] = panel[:, [0, -1]] = 160
    return panel


def main() -> int:
    """Write the pictures, or with --check tell which differ."""
    wrong = []
    for name, filter_ in SHOWN.items():
        path, drawn = FOLDER / f"{name}.png", picture(filter_)
        if "--check" not in sys.argv:
            Image.fromarray(drawn).save(path, optimize=True)
        else:
            kept = np.asarray(Image.open(path).convert("RGB")) if path.exists() else np.zeros((1, 1, 3))
            same = kept.shape == drawn.shape and np.mean(abs(kept - drawn.astype(float)) > TOLERANCE) < 0.01
            wrong += [] if same else [name]
    if wrong:
        print(f"these pictures differ from what the filters give: {', '.join(wrong)}; run this script without --check")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
