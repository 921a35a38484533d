"""What an audit found: numbers, a table, a picture, JSON, and a verdict a person can act on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from faltung.errors import EquivarianceError

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure
    from rich.console import Console, ConsoleOptions, RenderResult

    from faltung.symmetry.audit.measure import ElementError
    from faltung.symmetry.audit.steps import LayerError
    from faltung.symmetry.elements import Array

SHOWN = 40  # layers in a table; of more than these, only those that are wrong
NAMED = 3  # layers in a verdict
LONG = ("layer", "settings", "cause")  # columns that may wrap
WIDE = 120  # letters of a terminal that has room for all columns
SPARED = ("rms", "if it stayed", "at", "border", "input")  # what a narrower one does without
CAUSES = {
    "lattice": "from the lattice",
    "boundary": "from the boundary",
    "floor": "at the interpolation floor",
    "rest": "not confined to lattice or boundary",
}


@dataclass(frozen=True, eq=False)
class Report:
    """The errors of an audit; `print` it, `plot` it, or `require` a limit.

    ``per_element`` and ``per_layer`` hold one entry per element of the group and per layer, ``decision`` says how the
    group acts on the output and why, ``noise`` how far two runs on the same input differ. ``error_map`` is
    |f(g x) - g f(x)| of the worst element, with the output's shape.
    """

    name: str
    group: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    decision: str
    tolerance: float
    noise: float
    per_element: tuple[ElementError, ...]
    per_layer: tuple[LayerError, ...]
    advice: str
    error_map: Array
    axes: tuple[int, ...]

    @property
    def worst(self) -> ElementError:
        """The element with the largest error."""
        return max(self.per_element, key=lambda e: e.relative)

    @property
    def max_error(self) -> float:
        """The largest relative error of any element, from input to output."""
        return self.worst.relative

    @property
    def worst_layer(self) -> LayerError | None:
        """The layer with the largest error, None if there are none or all are exact but for interpolation."""
        return max(self._wrong, key=lambda layer: layer.max_error or 0.0, default=None)

    @property
    def _wrong(self) -> list[LayerError]:
        """The layers with more than rounding and interpolation to their account."""
        return [e for e in self.per_layer if e.worst and e.worst.relative > self.tolerance and e.worst.cause != "floor"]

    @property
    def verdict(self) -> str:
        """What the error is, which layer makes it, and what cures it."""
        worst, size = self.worst, " x ".join(map(str, self.input_shape))
        wrong = self._wrong
        name = f"{self.name} on {size}"
        if worst.cause == "exact":
            lines = [f"{name}: {self.group} hold to rounding, error {worst.relative:.2g}"]
        else:
            # What layers say is nearer to the cure, but a size that was tried is worth its words.
            advice = f"; {self.advice}" if not wrong or "(tried)" in self.advice else ""
            lines = [f"{name}: error {worst.relative:.2g} under {worst.name}, {CAUSES[worst.cause]}{advice}"]
        if self.noise > self.tolerance:
            lines.append(f"it is random: two runs on the same input differ by {self.noise:.2g}; fix its seed first")
        if len(wrong) > NAMED:
            causes = [e.worst.cause for e in wrong if e.worst]
            counts = ", ".join(f"{causes.count(c)} {CAUSES[c]}" for c in CAUSES if c in causes)
            lines.append(f"{len(wrong)} of {len(self.per_layer)} layers break it: {counts}; the worst are")
        for layer in sorted(wrong, key=lambda e: -(e.max_error or 0.0))[:NAMED]:
            lines.append(f"{layer.title} on size {_grid(layer)}: error {layer.max_error:.2g}; {layer.advice}")
        if self.per_layer and not wrong and worst.cause not in ("exact", "floor"):
            lines.append("every layer holds by itself: the error arises between layers, where forward calls functions")
        return "\n".join(lines)

    def require(self, limit: float) -> Report:
        """Return the report if no element's error is above ``limit``.

        Raises EquivarianceError otherwise, naming the layer with the largest error and its cure.
        """
        if self.max_error <= limit:
            return self
        layer = self.worst_layer
        where = f"{layer.title} with error {layer.max_error:.2g}: {layer.advice}" if layer else self.advice
        msg = f"{self.name} is not equivariant under {self.group}: error {self.max_error:.2g} for {self.worst.name}, "
        msg += f"and at most {limit:g} was required; {where}"
        raise EquivarianceError(msg)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the map of errors, as plain lists, dicts and numbers."""
        fields = ("name", "group", "input_shape", "output_shape", "decision", "tolerance", "noise")
        return {
            **{name: getattr(self, name) for name in fields},
            "max_error": self.max_error,
            "verdict": self.verdict,
            "per_element": [asdict(e) for e in self.per_element],
            "per_layer": [asdict(e) for e in self.per_layer],
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the report as JSON, and write it to a file if one is named."""
        from pathlib import Path

        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def plot(self) -> Figure:
        """Draw the errors of elements and layers, and where the worst one sits, as a matplotlib Figure.

        Raises NotInstalledError without matplotlib.
        """
        from faltung.symmetry.audit.drawing import report

        return report(self)

    def table(self) -> str:
        """Return the tables as plain text."""
        parts = [_columns(*self._element_rows())]
        if self.per_layer:
            parts.append(_columns(*self._layer_rows()))
        return "\n\n".join(parts)

    def __str__(self) -> str:
        return f"{self.name} under {self.group}\n{self.decision}\n\n{self.table()}\n\n{self.verdict}"

    def __repr__(self) -> str:
        return f"<Report {self.name} under {self.group}: max_error {self.max_error:.3g}>"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Print as tables with the worst in colour."""
        from rich.table import Table
        from rich.text import Text

        yield Text.assemble((self.name, "bold"), f" under {self.group}\n", (self.decision, "dim"))
        both = [self._element_rows()] + [self._layer_rows()] * bool(self.per_layer)
        for head, rows in both:
            table = Table(box=None, padding=(0, 2, 0, 0))
            kept = [i for i, name in enumerate(head) if options.max_width >= WIDE or name not in SPARED]
            for i, name in enumerate(head):
                if i in kept:
                    table.add_column(name, header_style="dim", no_wrap=name not in LONG)
            for row in rows:
                table.add_row(*[Text(row[i]) for i in kept], style="" if row[-1] in ("exact", "") else "yellow")
            yield table
            yield ""
        yield Text(self.verdict)

    def _repr_html_(self) -> str:
        parts = [f"<b>{escape(self.name)}</b> under {escape(self.group)}<br>{escape(self.decision)}"]
        for head, rows in [self._element_rows()] + [self._layer_rows()] * bool(self.per_layer):
            cells = ["".join(f"<th>{escape(c)}</th>" for c in head)]
            cells += ["".join(f"<td>{escape(c)}</td>" for c in row) for row in rows]
            parts.append("<table>" + "".join(f"<tr>{c}</tr>" for c in cells) + "</table>")
        parts.append("<p>" + "<br>".join(escape(line) for line in self.verdict.split("\n")) + "</p>")
        return "".join(parts)

    def _element_rows(self) -> tuple[list[str], list[list[str]]]:
        head = [
            "element",
            "error",
            "rms",
            "if it stayed",
            "lattice",
            "boundary",
            "floor",
            "rest",
            "at",
            "border",
            "cause",
        ]
        rows = [
            [
                *(e.name, _number(e.relative), _number(e.rms), _number(e.unmoved)),
                *map(_part, (e.lattice, e.boundary, e.floor, e.rest)),
                str(e.where) if e.relative else "",
                "" if e.border_share is None else f"{e.border_share:.0%}",
                e.cause,
            ]
            for e in self.per_element
        ]
        return head, rows

    def _layer_rows(self) -> tuple[list[str], list[list[str]]]:
        head = ["layer", "kind", "settings", "input", "error", "under", "cause"]
        chosen = list(self.per_layer)
        if len(chosen) > SHOWN:
            wrong = [e for e in chosen if (e.max_error or 0.0) > self.tolerance]
            chosen = sorted(sorted(wrong, key=lambda e: -(e.max_error or 0.0))[:SHOWN], key=lambda e: e.index)
        rows = [
            [
                *(f"{e.index} {e.name}", e.kind, e.settings, "x".join(map(str, e.input_shape))),
                "" if e.max_error is None else _number(e.max_error),
                e.worst.name if e.worst and e.worst.cause != "exact" else "",
                e.worst.cause if e.worst else e.note,
            ]
            for e in chosen
        ]
        if len(chosen) < len(self.per_layer):
            rows.append([self._left_out(chosen), *[""] * 6])
        return head, rows

    def _left_out(self, shown: list[LayerError]) -> str:
        rest = [e for e in self.per_layer if e not in shown]
        exact = sum(e.max_error is not None and e.max_error <= self.tolerance for e in rest)
        unmeasured = sum(e.max_error is None for e in rest)
        counts = [(exact, "exact"), (unmeasured, "not measured"), (len(rest) - exact - unmeasured, "smaller")]
        return "and " + ", ".join(f"{n} {what}" for n, what in counts if n)


def _grid(layer: LayerError) -> str:
    sizes = layer.input_shape[2:] if len(layer.input_shape) > 2 else layer.input_shape
    return str(sizes[0]) if len(set(sizes)) == 1 else " x ".join(map(str, sizes))


def _number(value: float) -> str:
    return f"{value:.2g}"


def _part(value: float) -> str:
    return f"{value:.2g}" if value else "·"


def _columns(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    )
