"""What an error means and what cures it, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.symmetry.audit.measure import ElementError, Trial
    from faltung.symmetry.audit.steps import Settings, Step
    from faltung.symmetry.elements import Element

DENSE = ("linear", "gemm", "matmul", "flatten", "reshape", "embedding")
RULES = "zeros, reflect or replicate"


def layer_advice(step: Step, trial: Trial, element: Element, worst: ElementError) -> str:
    """Say what causes a layer's error and how to repair it."""
    main = next((k for k, f in enumerate(trial.fields) if f.axes), 0)
    sizes = trial.fields[main].sizes(step.inputs[main].shape)
    return advice(worst, element, trial, sizes, step.kind.lower(), step.settings)


def advice(
    worst: ElementError, element: Element, trial: Trial, sizes: Sequence[int], kind: str, settings: Settings
) -> str:
    """Say what causes an error and how to repair it; ``sizes`` are those of the input's axes that move."""
    if worst.cause == "exact":
        return ""
    if not element.moves:
        return _values(element)
    if worst.cause == "floor":
        return "no more than interpolation itself costs on this grid: nothing to repair"
    if worst.cause == "lattice":
        return _lattice(element, trial, sizes, settings)
    if worst.cause == "boundary":
        return _boundary(worst, element, trial, settings)
    return _rest(element, trial, kind)


def _lattice(element: Element, trial: Trial, sizes: Sequence[int], settings: Settings) -> str:
    strides = settings.stride or tuple(round(s) for s in trial.result.strides)
    stride, grid = max(strides), "x".join(map(str, sorted(set(sizes))))
    if not element.turns:
        return (
            f"stride {stride} follows only shifts by multiples of {stride}; use polyphase_pool (exact), "
            "blur_pool (nearly), or stride 1"
        )
    exact = exact_sizes(settings)
    cure = f"exact on {exact}" if exact else "choose a size on which the strided grid is centred"
    if stride == 1:
        return "its window is off centre; use an odd kernel, or equal padding on both sides"
    return f"stride {stride} on size {grid} leaves the output's grid off centre; {cure}, or use polyphase_pool"


def exact_sizes(settings: Settings) -> str:
    """Name the sizes on which a strided window's positions lie symmetric to the centre, "" if none or unknown.

    The window starts at -p and moves by s, so n + 2p - d(k - 1) - 1 must be a multiple of s.

    >>> from faltung.symmetry.audit.steps import Settings
    >>> exact_sizes(Settings((3,), (2,), ((1, 1),))), exact_sizes(Settings((2,), (2,)))
    ('odd sizes', 'even sizes')
    >>> exact_sizes(Settings((3,), (3,)))
    'sizes that are multiples of 3'
    """
    if not (settings.kernel and settings.stride):
        return ""
    rank = len(settings.kernel)
    paddings = settings.padding or ((0, 0),) * rank
    residues = set()
    for k, s, p, d in zip(settings.kernel, settings.stride, paddings, settings.dilation or (1,) * rank, strict=True):
        if p[0] != p[1]:
            return ""
        residues.add((s, (d * (k - 1) + 1 - 2 * p[0]) % s))
    if len(residues) != 1:
        return ""
    s, r = residues.pop()
    if s == 1:
        return ""
    if s == 2:
        return "odd sizes" if r else "even sizes"
    return f"sizes that are {r} more than a multiple of {s}" if r else f"sizes that are multiples of {s}"


def _boundary(worst: ElementError, element: Element, trial: Trial, settings: Settings) -> str:
    reach = f"within {worst.reach} sample{'s' if worst.reach != 1 else ''} of an edge"
    if trial.group.beyond == "crop":
        return f"it sits {reach}, where outputs see beyond the image; compare or use only what lies further inside"
    if element.turns:
        return f"it sits {reach}; pad all sides equally"
    if settings.padding and any(any(p) for p in settings.padding):
        return f"padding with {settings.rule} shows {reach}; exact with padding_mode='circular' (boundary='wrap')"
    return f"it sits {reach}, which do not go around; pad with 'circular' (wrap), or audit shifts(beyond='crop')"


def _rest(element: Element, trial: Trial, kind: str) -> str:
    if any(word in kind for word in DENSE):
        return "each position has weights of its own; use a convolution, or global pooling before it"
    if trial.group.semigroup:
        return "its window has one size on every scale; no cure on a grid but to train on scaled inputs"
    if element.turns:
        return "its kernels are not symmetric; use a group convolution (GroupConv), or average them over the group"
    strides = [s for s in trial.result.strides if s > 1]
    if strides:
        return f"stride {max(strides):g}: use polyphase_pool (exact) or blur before subsampling (blur_pool)"
    return (
        "it treats positions differently, or sees an edge from everywhere; use convolutions that go around the edges, "
        "pooling of stride 1, global pooling"
    )


def _values(element: Element) -> str:
    if element.offset:
        return "values do not pass it on; kernels that sum to 1 (same offset) or 0 (no offset) do"
    return "it is not homogeneous; drop biases, and use ReLU, max or mean rather than saturating functions"
