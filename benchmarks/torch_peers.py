"""torch's convolutions: with its own padding, and "valid" on an input padded beforehand."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from benchmarks.work import MOST_SCALAR_MACS, Peer, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.case import Array

PADDINGS = {"zero": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}


def of(work: Work) -> Iterator[Peer]:
    """Give torch with its own padding, if it has the rule, and without."""
    carried = [a for a in range(work.x.ndim) if a not in work.case.filtered]
    floats = work.sums.kind == "f" and work.kernel.dtype.kind == "f"
    if not (floats and work.rank <= 3 and len(carried) <= 1 and find_spec("torch")):
        return
    layout = "channels last" if carried else "N = C = 1"
    mode = PADDINGS.get(work.case.boundary)
    if mode and work.small:
        how = "padding=" if mode == "constant" else f"F.pad(mode={mode!r}) timed"
        yield Peer("torch", f"conv{work.rank}d, {how}, {layout}", _call(work, work.x, carried, mode))
    if work.case.design != "random" or work.x.size * work.kernel.size > MOST_SCALAR_MACS:
        return
    yield Peer("torch valid", f"conv{work.rank}d, F.pad beforehand, {layout}", _call(work, work.padded, carried, None))


def _call(work: Work, source: Array, carried: list[int], mode: str | None) -> Callable[[], Any]:
    import torch
    from torch.nn import functional

    channels = work.x.shape[carried[0]] if carried else 1
    convolve = getattr(functional, f"conv{work.rank}d")
    weight = torch.from_numpy(work.kernel.astype(work.sums)).expand(channels, 1, *work.kernel.shape).contiguous()
    tensor = torch.from_numpy(source)
    # An interleaved image seen channel first is torch's channels-last layout.
    tensor = tensor.permute(*carried, *work.case.filtered)[None] if carried else tensor[None, None]
    margins = [k // 2 for k in work.dilated.shape]
    beforehand = [m for margin in reversed(margins) for m in (margin, margin)]
    options = {"stride": work.case.stride, "dilation": work.case.dilation, "groups": channels}
    if mode == "constant":
        options["padding"] = tuple(margins)

    @torch.inference_mode()
    def call() -> Any:
        planes = tensor.to(weight.dtype)
        if mode not in (None, "constant"):
            planes = functional.pad(planes, beforehand, mode)
        result = convolve(planes, weight, **options)[0]
        if work.case.rounded:
            result = result.round_().clamp_(0, 255).to(torch.uint8)
        return result.permute(*range(1, work.rank + 1), 0).numpy() if carried else result[0].numpy()

    return call
