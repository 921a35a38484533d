"""The inner part of a pass: a tile of outputs whose samples slide through registers, tap by tap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faltung.compiler.arithmetic import multiply_add, splat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.compiler.elements import Element
    from faltung.compiler.ir import Writer
    from faltung.compiler.isa import Isa

# How the weights of a line are used: as they come; pairs with equal or opposite weights first added or subtracted; or
# as they come with a load for every product, where outputs or taps are not neighbours.
GENERAL, EVEN, ODD, APART = range(4)
MODES = ("general", "even", "odd", "apart")


class Sweep:
    """Writes Σ_t weight[t] · row[out_step·o + tap_step·t] for `rows` outputs o, in one of the modes above."""

    def __init__(self, w: Writer, isa: Isa, element: Element, lanes: int, rows: int, p: dict[str, str]) -> None:
        self.w, self.isa, self.element, self.lanes, self.p = w, isa, element, lanes, p
        self.vector, self.tile = element.vector(lanes), range(rows)
        self.half = w.op(f"lshr i64 {p['taps']}, 1")
        self.odd_taps = w.op(f"and i64 {p['taps']}, 1")
        self.last_tap = w.mul(w.add(p["taps"], -1), p["tap_step"])
        self.back = w.op(f"sub i64 0, {p['tap_step']}")
        self.line_bytes = w.mul(p["taps"], element.bytes)

    def known(self, source: str, weights: str, taps: int, mode: int) -> list[str]:
        """Sum the taps of one plane, written out: every row is loaded once, in the order of the loops below."""
        w, count = self.w, len(self.tile)
        rows = []
        for _ in range(count + taps - 1):
            rows.append(self._load(source))
            source = w.offset(source, self.p["tap_step"])
        acc = ["zeroinitializer"] * count
        pairs = 0 if mode == GENERAL else taps // 2
        combine = "add" if mode == EVEN else "sub"
        for t in range(taps - pairs):
            samples = rows[t : t + count]
            if t < pairs:
                samples = [self._combine(combine, a, b) for a, b in zip(samples, rows[taps - 1 - t :], strict=False)]
            acc = self._add(acc, samples, w.offset(weights, t * self.element.bytes))
        return acc

    def planes(self, source: str, weights: str, modes: str) -> list[str]:
        """Sum over all planes and taps."""
        w = self.w
        start = [
            *((self.vector, "zeroinitializer") for _ in self.tile),
            *(("ptr", at) for at in (source, weights, modes)),
        ]
        with w.loop(self.p["planes"], start) as plane:
            *acc, source, weights, modes = plane.values
            mode = w.op(f"load i64, ptr {modes}, align 8")
            acc = self._pairs(acc, source, weights, self._is(mode, EVEN), "add")
            acc = self._pairs(acc, source, weights, self._is(mode, ODD), "sub")
            acc = self._general(acc, source, weights, self._is(mode, GENERAL))
            acc = self._apart(acc, source, weights, self._is(mode, APART))
            following = (
                w.offset(source, self.p["plane_bytes"]), w.offset(weights, self.line_bytes), w.offset(modes, 8),
            )  # fmt: skip
            plane.next = [*acc, *following]
        return plane.result[: len(self.tile)]

    def _is(self, mode: str, wanted: int) -> str:
        """Give 1 or 0, the count of a loop that stands for a condition."""
        return self.w.op(f"zext i1 {self.w.op(f'icmp eq i64 {mode}, {wanted}')} to i64")

    def _pairs(self, acc: list[str], source: str, weights: str, once: str, combine: str) -> list[str]:
        """Add the pairs of taps that share a weight, from the outside in, then the middle one.

        The windows move one register on with every tap. Written out, several taps would spare these moves, which costs
        code and gains nothing (measured with 2, 4 and 8): they need no execution unit.
        """
        w, count, step = self.w, len(self.tile), self.p["tap_step"]
        with w.loop(once, self._carried(acc)) as branch:
            last = w.offset(source, self.last_tap)
            low, next_low = self._window(source)
            high, _ = self._window(last)
            ends = (("ptr", next_low), ("ptr", w.offset(last, self.back)), ("ptr", weights))
            with w.loop(self.half, [*self._carried(branch.values, low, high), *ends]) as pair:
                acc, low, high = (pair.values[i * count : (i + 1) * count] for i in range(3))
                next_low, next_high, weight = pair.values[3 * count :]
                both = [self._combine(combine, a, b) for a, b in zip(low, high, strict=True)]
                acc = self._add(acc, both, weight)
                low, high = [*low[1:], self._load(next_low)], [self._load(next_high), *high[:-1]]
                following = (w.offset(next_low, step), w.offset(next_high, self.back), self._next_weight(weight))
                pair.next = [*acc, *low, *high, *following]
            acc, low, weight = pair.result[:count], pair.result[count : 2 * count], pair.result[-1]
            with w.loop(self.odd_taps, self._carried(acc)) as middle:
                middle.next = self._add(middle.values, low, weight)
            branch.next = middle.result
        return branch.result

    def _general(self, acc: list[str], source: str, weights: str, once: str) -> list[str]:
        w, count = self.w, len(self.tile)
        with w.loop(once, self._carried(acc)) as branch:
            window, following = self._window(source)
            start = [*self._carried(branch.values, window), ("ptr", following), ("ptr", weights)]
            with w.loop(self.p["taps"], start) as tap:
                acc, window, (following, weight) = tap.values[:count], tap.values[count:-2], tap.values[-2:]
                acc = self._add(acc, window, weight)
                window = [*window[1:], self._load(following)]
                tap.next = [*acc, *window, w.offset(following, self.p["tap_step"]), self._next_weight(weight)]
            branch.next = tap.result[:count]
        return branch.result

    def _apart(self, acc: list[str], source: str, weights: str, once: str) -> list[str]:
        w = self.w
        with w.loop(once, self._carried(acc)) as branch:
            start = [*self._carried(branch.values), ("ptr", source), ("ptr", weights)]
            with w.loop(self.p["taps"], start) as tap:
                *acc, row, weight = tap.values
                acc = self._add(acc, self._rows(row, self.p["out_step"])[0], weight)
                ends = (w.offset(row, self.p["tap_step"]), self._next_weight(weight))
                tap.next = [*acc, *ends]
            branch.next = tap.result[: len(self.tile)]
        return branch.result

    def _next_weight(self, weight: str) -> str:
        return self.w.offset(weight, self.element.bytes)

    def _carried(self, *values: Sequence[str]) -> list[tuple[str, str]]:
        return [(self.vector, value) for part in values for value in part]

    def _window(self, row: str) -> tuple[list[str], str]:
        """Load the rows of all outputs at one tap; also give the row that the next tap brings in."""
        return self._rows(row, self.p["tap_step"])

    def _rows(self, row: str, step: str) -> tuple[list[str], str]:
        window = []
        for _ in self.tile:
            window.append(self._load(row))
            row = self.w.offset(row, step)
        return window, row

    def _load(self, row: str) -> str:
        return self.w.op(f"load {self.vector}, ptr {row}, align {self.lanes * self.element.bytes}")

    def _combine(self, how: str, a: str, b: str) -> str:
        return self.w.op(f"{'f' if self.element.kind == 'f' else ''}{how} {self.vector} {a}, {b}")

    def _add(self, acc: Sequence[str], rows: Sequence[str], weight: str) -> list[str]:
        w = self.w
        same = splat(w, weight, self.element, self.lanes)
        return [multiply_add(w, self.isa, self.element, self.lanes, x, same, a) for a, x in zip(acc, rows, strict=True)]
