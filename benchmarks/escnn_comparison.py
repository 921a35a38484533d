"""Group convolutions against escnn 1.0.11, whose weights are copied: equal results, and times in turns.

escnn needs NumPy 1, so that it has an environment of its own, in which faltung is installed beside it (on Debian)::

    apt-get install gfortran                 # for py3nj, on which escnn depends
    python3.11 -m venv escnn-env && . escnn-env/bin/activate
    pip install "numpy<2" "setuptools<70" wheel "cython<3" meson-python ninja torch==2.13.0
    pip install --no-build-isolation lie_learn py3nj
    pip install --no-build-isolation escnn==1.0.11
    pip install llvmlite Pillow tifffile rich typer hatchling
    pip install --no-build-isolation --no-deps .
    python -m benchmarks.escnn_comparison

One thread. Layers of 8 fields of p4 or p4m to 8, 3x3 on 56x56 with padding 1. What escnn's module exports holds its
expanded filters, of which the first element's are our weights; its filters leave high frequencies out, so that they
are copied from it to us. The exit status is 1 if an answer differs, whatever the times.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from faltung.symmetry.group_conv.action import acting
from faltung.symmetry.group_conv.bank import tap_sources
from faltung.symmetry.group_conv.torch_modules import GroupConv

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS, WINDOW, SIDE = 8, 3, 56
GROUPS = ("p4", "p4m")
BATCHES = (1, 2, 4, 8)
SECONDS = 1.2  # for each row of times
TOLERANCE = 2e-6  # of the largest result: both sum up to 576 products in float32
BUILDS = 3
ASKED = {"building": 20.0, "evaluation": 1.0, "training": 1.5}
FRESH = """
import sys, time, warnings
warnings.simplefilter("ignore")
from benchmarks.escnn_comparison import build_escnn, build_faltung
build = {"escnn": build_escnn, "faltung": build_faltung}[sys.argv[1]]
if sys.argv[1] == "escnn":
    import escnn.nn
for _ in range(2):
    start = time.perf_counter()
    build(sys.argv[2], "regular")
    print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Row:
    """The median times of one job in seconds, escnn's over ours, and the plain layer's over ours."""

    job: str
    group: str
    detail: str
    ours: float
    escnn: float
    ratio: float
    plain: float | None = None

    @property
    def asked(self) -> float:
        """The ratio that is asked for; a training step's for p4 alone."""
        kind = self.job.split(",")[0]
        return 0.0 if kind == "training" and self.group != "p4" else ASKED[kind]

    def __str__(self) -> str:
        """Return a line of the table."""
        plain = "" if self.plain is None else f"{self.plain:.2f}"
        asked = f">= {self.asked:g}" if self.asked else ""
        times = f"{self.ours * 1e3:.2f} | {self.escnn * 1e3:.2f}"
        return f"| {self.job} | {self.group} | {self.detail} | {times} | {self.ratio:.2f} | {asked} | {plain} |"


def space(group: str) -> Any:
    """Return escnn's group of the plane."""
    from escnn import gspaces

    return gspaces.rot2dOnR2(4) if group == "p4" else gspaces.flipRot2dOnR2(4)


def field_type(group: str, kind: str) -> Any:
    """Return escnn's type of FIELDS fields, trivial or regular."""
    from escnn import nn as equivariant

    plane = space(group)
    return equivariant.FieldType(plane, FIELDS * [plane.regular_repr if kind == "regular" else plane.trivial_repr])


def build_escnn(group: str, kind: str) -> Any:
    """Build escnn's layer from fields of a kind to regular ones."""
    from escnn import nn as equivariant

    return equivariant.R2Conv(field_type(group, kind), field_type(group, "regular"), WINDOW, padding=WINDOW // 2)


def build_faltung(group: str, kind: Any) -> GroupConv:
    """Build ours."""
    return GroupConv(FIELDS, FIELDS, WINDOW, group, kind, padding=WINDOW // 2)


def places(group: str) -> list[int]:
    """Return where each element of escnn's group stands in ours, by what it does to a numbered window."""
    from escnn import nn as equivariant

    plane = space(group)
    scalar = equivariant.FieldType(plane, [plane.trivial_repr])
    numbered = equivariant.GeometricTensor(torch.arange(float(WINDOW**2)).reshape(1, 1, WINDOW, WINDOW), scalar)
    ours = tap_sources(acting(group), (WINDOW, WINDOW)).tolist()
    return [
        ours.index(numbered.transform(g).tensor.round().long().flatten().tolist()) for g in plane.fibergroup.elements
    ]


def copy_weights(theirs: nn.Conv2d, ours: GroupConv, at: list[int]) -> tuple[Tensor, Tensor]:
    """Set our weights to those of escnn's first element, and return its expanded bank and bias in our order."""
    order, count = torch.tensor(at).argsort(), len(at)
    planes = count if ours.input == "regular" else 1
    bank = theirs.weight.detach().reshape(FIELDS, count, FIELDS, planes, WINDOW, WINDOW)[:, order]
    bank = bank[:, :, :, order] if planes > 1 else bank
    bias = theirs.bias.detach().reshape(FIELDS, count)[:, order]
    with torch.no_grad():
        ours.weight.copy_(bank[:, 0].reshape(ours.weight.shape))
        ours.bias.copy_(bias[:, 0])
    return bank.reshape(FIELDS * count, FIELDS * planes, WINDOW, WINDOW), bias.reshape(-1)


def reordered(y: Tensor, at: list[int]) -> Tensor:
    """Return escnn's group features in our order of the elements."""
    return y.reshape(len(y), FIELDS, len(at), *y.shape[2:])[:, :, torch.tensor(at).argsort()].reshape(y.shape)


def check(group: str, kind: str) -> float:
    """Return the largest difference of results over the largest result, of banks and all batches of 1 to 8."""
    from escnn import nn as equivariant

    at, theirs, ours = places(group), build_escnn(group, kind).eval(), build_faltung(group, kind).eval()
    bank, _ = copy_weights(theirs.export(), ours, at)
    worst = float((ours.filter_bank() - bank).abs().max() / bank.abs().max())
    for batch in range(1, 9):
        x = torch.randn(batch, bank.shape[1], SIDE, SIDE)
        # The order of the input's channels is ours; escnn's takes its own.
        given = x if kind == "trivial" else x.reshape(batch, FIELDS, len(at), SIDE, SIDE)[:, :, at].reshape(x.shape)
        with torch.inference_mode():
            expected = reordered(theirs(equivariant.GeometricTensor(given, theirs.in_type)).tensor, at)
            worst = max(worst, float((ours(x) - expected).abs().max() / expected.abs().max()))
    return worst


def building(group: str) -> list[Row]:
    """Build the layer in fresh processes in turns: the first time, and again."""
    times: dict[str, list[list[float]]] = {"faltung": [], "escnn": []}
    for _ in range(BUILDS):
        for name, found in times.items():
            command = [sys.executable, "-c", FRESH, name, group]
            lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            found.append([float(line) for line in lines[-2:]])
    return [_row("building", group, when, {k: [t[i] for t in v] for k, v in times.items()})
            for i, when in enumerate(("first in a process", "again"))]  # fmt: skip


def evaluation(group: str, batch: int) -> Row:
    """Evaluate in inference mode, escnn's layer with its filters expanded by eval()."""
    from escnn import nn as equivariant

    theirs, ours, plain, x = _layers(group, batch)
    theirs.eval(), ours.eval(), plain.eval()
    calls = {
        "faltung": lambda: ours(x),
        "escnn": lambda: theirs(equivariant.GeometricTensor(x, theirs.in_type)).tensor,
        "plain": lambda: plain(x),
    }
    with torch.inference_mode():
        return _row("evaluation", group, f"batch {batch}", in_turns(calls))


def training(group: str, batch: int, inner: bool) -> Row:
    """Step forward, backward and with SGD; the layer is the first one, or an inner one with its input's gradient."""
    from escnn import nn as equivariant

    theirs, ours, plain, x = _layers(group, batch)
    x.requires_grad_(inner)
    grad = torch.randn_like(x)
    forward: dict[str, tuple[nn.Module, Callable[[], Tensor]]] = {
        "faltung": (ours, lambda: ours(x)),
        "escnn": (theirs, lambda: theirs(equivariant.GeometricTensor(x, theirs.in_type)).tensor),
        "plain": (plain, lambda: plain(x)),
    }
    steps = {name: _step(module.train(), call, x, grad) for name, (module, call) in forward.items()}
    return _row("training" + ", inner" * inner, group, f"batch {batch}", in_turns(steps))


def in_turns(calls: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Time calls in turns, after two that are not timed, in another order each round."""
    for call in calls.values():
        call(), call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    names, stop = list(calls), time.perf_counter() + SECONDS
    while time.perf_counter() < stop:
        for name in names:
            start = time.perf_counter()
            calls[name]()
            times[name].append(time.perf_counter() - start)
        names.append(names.pop(0))
    return times


def _layers(group: str, batch: int) -> tuple[Any, GroupConv, nn.Conv2d, Tensor]:
    theirs, ours = build_escnn(group, "regular"), build_faltung(group, "regular")
    channels = FIELDS * len(acting(group))
    plain = nn.Conv2d(channels, channels, WINDOW, padding=WINDOW // 2)
    return theirs, ours, plain, torch.randn(batch, channels, SIDE, SIDE)


def _step(module: nn.Module, forward: Callable[[], Tensor], x: Tensor, grad: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-6)

    def step() -> None:
        optimizer.zero_grad()
        x.grad = None
        forward().backward(grad)
        optimizer.step()

    return step


def _row(job: str, group: str, detail: str, times: dict[str, list[float]]) -> Row:
    def ratio(name: str) -> float:
        return statistics.median(t / ours for t, ours in zip(times[name], times["faltung"], strict=True))

    medians = {name: statistics.median(found) for name, found in times.items()}
    plain = ratio("plain") if "plain" in times else None
    return Row(job, group, detail, medians["faltung"], medians["escnn"], ratio("escnn"), plain)


def main() -> int:
    """Check and measure; print losses first, then all."""
    warnings.simplefilter("ignore")  # escnn uses names that torch and NumPy will drop
    torch.set_num_threads(1)
    torch.manual_seed(0)
    errors = {(group, kind): check(group, kind) for group in GROUPS for kind in ("trivial", "regular")}
    rows = [row for group in GROUPS for row in building(group)]
    rows += [evaluation(group, batch) for group in GROUPS for batch in BATCHES]
    rows += [training(group, batch, inner) for inner in (False, True) for group in GROUPS for batch in BATCHES]
    header = "| job | group | | ours, ms | escnn, ms | escnn / ours | asked | plain / ours |\n" + 8 * "|---" + "|"
    for title, chosen in (
        ("Slower than escnn", [r for r in rows if r.ratio < 1]),
        ("Below what is asked", [r for r in rows if r.ratio < r.asked]),
        ("All", rows),
    ):
        print(f"\n{title}: {len(chosen)}\n", *((header, *chosen) if chosen else ()), sep="\n")
    print("\nLargest difference from escnn, over the largest value, of banks and results of batches 1 to 8\n")
    for (group, kind), error in errors.items():
        print(f"- {group}, {kind} to regular: {error:.1e}{'' if error <= TOLERANCE else ', WRONG'}")
    return int(any(error > TOLERANCE for error in errors.values()))


if __name__ == "__main__":
    sys.exit(main())
