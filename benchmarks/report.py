"""What was measured, for people and as JSON."""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import peers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.harness import Figure, Outcome, Result, Standing

PACKAGES = (
    "faltung", "llvmlite", "numpy", "scipy", "opencv-python-headless", "torch", "scikit-image", "pyvips", "astropy",
    "threadpoolctl",
)  # fmt: skip


def machine(threads: int) -> dict[str, Any]:
    """Describe the machine and the versions."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    model, flags = _cpu()
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": model, "cpu_flags": flags, "cpus": count, "threads": threads, "system": platform.platform(),
        "python": platform.python_version(), "versions": versions, "missing": peers.missing(),
    }  # fmt: skip


def machine_text(facts: Mapping[str, Any]) -> str:
    vectors = [flag for flag in facts["cpu_flags"] if flag.startswith(("avx", "fma", "asimd", "sve"))]
    return "\n".join(
        [
            f"{facts['cpu']}, {facts['cpus']} CPUs, {facts['threads']} thread(s) used; {facts['system']}",
            f"vector instructions: {' '.join(vectors) or 'unknown'}",
            ", ".join(f"{name} {number}" for name, number in facts["versions"].items()),
            f"peers not installed: {', '.join(facts['missing']) or 'none'}",
        ]
    )


def outcome_text(suite: str, outcome: Outcome, quick: bool) -> str:
    """Wrong answers, losses and missed targets first; then everything."""
    parts = [f"\n=== {suite} ===" + (" (quick: the figures mean nothing)" if quick else "")]
    figures = [figure for result in outcome.results for figure in result.figures] + list(outcome.figures)
    targets = [figure for figure in figures if figure.at_least is not None or figure.at_most is not None]
    losses = [(r, s) for r in outcome.results for s in r.standings if s.correct and s.ratio.median < 1]
    pairs = sum(len(result.standings) for result in outcome.results)
    parts += _section("wrong answers", outcome.wrong)
    if outcome.results:
        parts += _section(f"losses: {len(losses)} of {pairs} comparisons", map(_loss, losses))
    parts += _section("targets missed", [_figure(figure) for figure in targets if not figure.met])
    parts += _section("targets met", [_figure(figure) for figure in targets if figure.met])
    others = [figure for figure in outcome.figures if figure not in targets]
    if others:
        parts += _section("figures", map(_figure, others))
    for group in dict.fromkeys(result.group for result in outcome.results):
        results = [result for result in outcome.results if result.group == group]
        parts += _section(f"{group}: time of the best peer over ours", _table(results))
    if outcome.results:
        parts += _section("geometric means of the ratio", _means(outcome.results))
        parts += _section("peers' settings", _settings(outcome.results))
    return "\n".join(parts)


def as_json(facts: Mapping[str, Any], outcomes: Mapping[str, Outcome], quick: bool) -> str:
    suites = {name: asdict(outcome) for name, outcome in outcomes.items()}
    return json.dumps({"machine": facts, "quick": quick, "suites": suites}, indent=1, ensure_ascii=False) + "\n"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    body = list(lines) or ["none"]
    return [f"\n{title}", *(f"  {line}" for line in body)]


def _loss(pair: tuple[Result, Standing]) -> str:
    result, peer = pair
    spread = f"{peer.ratio.median:5.2f}x [{peer.ratio.low:.2f}, {peer.ratio.high:.2f}]"
    return f"{spread}  {result.name}  ({peer.name}: {peer.settings})"


def _figure(figure: Figure) -> str:
    lowest = "" if figure.at_least is None else f"  target >= {figure.at_least:g}"
    highest = "" if figure.at_most is None else f"  target <= {figure.at_most:g}"
    note = f"  ({figure.note})" if figure.note else ""
    return f"{figure.value:9.2f} {figure.unit:<12}{figure.name}{lowest}{highest}{note}"


def _table(results: Iterable[Result]) -> list[str]:
    """One line a case; the errors are relative to ‖kernel‖₁·max|x| for floats, absolute for integers."""
    header = f"{'ms':>9} {'ratio':>7} {'quartiles':<15} {'best peer':<14}{'our error':>9} {'its error':>9} "
    rows = [header + f"{'sgemm':>5} {'copy':>5}  case"]
    for result in results:
        best, ms = result.best, result.seconds.median * 1e3
        shares = " ".join("    -" if s is None else f"{s:5.0%}" for s in (result.sgemm_share, result.copy_share))
        if best is None:
            peer = f"{'-':>7} {'':<15} {'none':<14}{result.error:9.1e} {'-':>9}"
        else:
            quartiles = f"[{best.ratio.low:.2f}, {best.ratio.high:.2f}]"
            peer = f"{best.ratio.median:7.2f} {quartiles:<15} {best.name:<14}{result.error:9.1e} {best.error:9.1e}"
        wrong = [peer.name for peer in result.standings if not peer.correct]
        rows.append(f"{ms:9.3f} {peer} {shares}  {result.name}" + (f"  (wrong: {', '.join(wrong)})" if wrong else ""))
    return rows


def _means(results: Iterable[Result]) -> list[str]:
    ratios: dict[str, list[float]] = {}
    for result in results:
        if result.best:
            for group in ("all cases, best peer", f"{result.group}, best peer"):
                ratios.setdefault(group, []).append(result.best.ratio.median)
        for peer in result.standings:
            if peer.correct:
                ratios.setdefault(f"where it can: {peer.name}", []).append(peer.ratio.median)
    means = {name: math.exp(sum(map(math.log, values)) / len(values)) for name, values in ratios.items()}
    return [f"{mean:6.2f}x  {name} ({len(ratios[name])} cases)" for name, mean in means.items()]


def _settings(results: Iterable[Result]) -> list[str]:
    return sorted({f"{peer.name}: {peer.settings}" for result in results for peer in result.standings})


def _cpu() -> tuple[str, list[str]]:
    """Read the CPU's name and flags where the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine(), []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags") or facts.get("Features") or ""
    return facts.get("model name") or platform.machine(), flags.split()
