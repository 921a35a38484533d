"""What is known of a filter by name: its formula, its source and its parameters, as its docstring gives them."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

from faltung.filters.parse import REGISTRY, parameters


@dataclass(frozen=True)
class Parameter:
    """A parameter: its name, its default as it is written (None: it must be given), and what it means."""

    name: str
    default: str | None
    meaning: str


@dataclass(frozen=True)
class Description:
    """A filter in words."""

    name: str
    summary: str
    details: str
    formula: str
    source: str
    parameters: tuple[Parameter, ...]


def describe(name: str) -> Description:
    """Describe a registered filter.

    Raises:
        ProblemError: there is no such filter; the message lists those there are.

    >>> found = describe("binomial")
    >>> found.formula
    'k[i] = Π C(size - 1, i) / 2^(size - 1), i from 0'
    >>> found.parameters[0]
    Parameter(name='size', default='3', meaning='number of taps, 1 to 1024, one for all axes or one per axis.')
    """
    defaults = parameters(name)
    paragraphs = (inspect.getdoc(REGISTRY[name]) or "").split("\n\n")
    labelled = {kind: _paragraph(paragraphs, f"{kind}:") for kind in ("Formula", "Source", "Args")}
    meanings = _meanings(labelled["Args"])
    return Description(
        name,
        _flat(paragraphs[0]).removeprefix("Return "),
        _flat(paragraphs[1]) if len(paragraphs) > 1 and not paragraphs[1].startswith("Args:") else "",
        _flat(labelled["Formula"]),
        _flat(labelled["Source"]),
        tuple(Parameter(key, _written(value), meanings.get(key, "")) for key, value in defaults.items()),
    )


def _paragraph(paragraphs: list[str], label: str) -> str:
    return next((p.removeprefix(label) for p in paragraphs if p.startswith(label)), "")


def _meanings(text: str) -> dict[str, str]:
    # A parameter begins at the first level of indentation, its further lines are indented more.
    return {key: _flat(meaning) for key, meaning in re.findall(r"^ {4}(\w+): ((?:.|\n {8})*)", text, re.MULTILINE)}


def _written(default: object) -> str | None:
    if default is ...:
        return None
    return str(default).lower() if isinstance(default, bool) or default is None else str(default)


def _flat(text: str) -> str:
    return " ".join(text.replace("`", "").split())
