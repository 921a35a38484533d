"""Small arrays, where a call's overhead is everything; and what the import costs."""

from __future__ import annotations

import numpy as np

import faltung as ft
from benchmarks import fresh, peers
from benchmarks.case import Case
from benchmarks.check import Check
from benchmarks.harness import QUICK_ROUNDS, ROUNDS, US, Figure, Outcome, Spread, race, ratio
from benchmarks.limits import limited

CASE = Case(group="small", shape=(64, 64), kernel=(3, 3))
IMPORTS = {
    "numpy": "import numpy",
    "numpy again": "import numpy",
    US: "import faltung",
    "our face": "import faltung; faltung.correlate",
}
TIMED = "from time import perf_counter as now; start = now(); {}; print(now() - start)"


def run(threads: int, quick: bool) -> Outcome:
    """Compare prepared and plain calls with every peer's, then the imports."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    calls, imports = _calls(threads, rounds), _imports(rounds)
    return Outcome(figures=(*calls.figures, *imports), wrong=calls.wrong)


def _calls(threads: int, rounds: int) -> Outcome:
    x, kernel = CASE.data()
    convolution = ft.Convolution(kernel, flip=False, **CASE.asked)
    ours = {
        "prepared Convolution": lambda: convolution(x),
        "plain correlate": lambda: ft.correlate(x, kernel, boundary=CASE.boundary),
    }
    rivals = {f"{peer.name} ({peer.settings})": peer.call for peer in peers.of(CASE, x, kernel, x.dtype)}
    with limited(threads):
        seconds, answers = race(ours | rivals, rounds, pause=threads > 1)
    opencv = next((name for name in rivals if name.startswith("opencv")), None)
    check = Check(CASE, x, kernel, convolution(x))
    figures, wrong = [], []
    for name, spent in seconds.items():
        error, correct = check(answers[name])
        note = f"error {error:.1e}" + ("" if correct else ", WRONG")
        figures.append(Figure(f"{CASE.name}: {name}", float(np.median(spent)) * 1e6, "µs", note=note))
        if name in ours and not correct:
            wrong.append(f"{CASE.name}: {name}")
    for name, most in zip(ours, (1.5, 3.0), strict=True):
        if opencv:
            spread = ratio(seconds[name], seconds[opencv])
            figures.append(
                Figure(f"time of {name} over OpenCV's", spread.median, "x", at_most=most, note=_note(spread))
            )
    return Outcome(figures=tuple(figures), wrong=tuple(wrong))


def _imports(rounds: int) -> list[Figure]:
    """Import in fresh processes, in turns; numpy twice shows what the ratio is worth."""
    seconds = {name: np.zeros(rounds + 1) for name in IMPORTS}
    for turn in range(rounds + 1):
        for name, code in IMPORTS.items():
            seconds[name][turn] = fresh.run(TIMED.format(code))
    base = seconds["numpy"][1:]  # the first round writes bytecode and fills caches
    ours, face, again = (ratio(seconds[name][1:], base) for name in (US, "our face", "numpy again"))
    return [
        Figure("import numpy", float(np.median(base)) * 1e3, "ms"),
        Figure("import faltung over import numpy", ours.median, "x", at_most=1.5, note=_note(ours)),
        Figure("import faltung and its correlate over import numpy", face.median, "x", note=_note(face)),
        Figure("import numpy over itself", again.median, "x", note=_note(again)),
    ]


def _note(spread: Spread) -> str:
    return f"[{spread.low:.2f}, {spread.high:.2f}], {spread.rounds} rounds"
