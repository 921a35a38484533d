"""`python -m benchmarks SUITE... [--quick] [--json FILE] [--threads N]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import arrays, bounds, choice, first_call, holes, layers, out_of_core, planned, pooling, report, small

SUITES = {
    "arrays": arrays.run,
    "small": small.run,
    "first-call": first_call.run,
    "large-kernels": planned.run_large_kernels,
    "gaussian": planned.run_gaussian,
    "box": planned.run_box,
    "signals": planned.run_signals,
    "volumes": planned.run_volumes,
    "holes": holes.run,
    "layers": layers.run,
    "pooling": pooling.run,
    "out-of-core": out_of_core.run,
    "choice": choice.run,
    "bounds": bounds.run,
}
PARTS = {"promised": arrays.run_promised, "drawn": arrays.run_drawn}  # of the suite "arrays"


def main() -> int:
    names = ", ".join([*SUITES, *PARTS, "all"])
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="+", metavar="SUITE", choices=[*SUITES, *PARTS, "all"], help=names)
    parser.add_argument("--quick", action="store_true", help="a smoke test of a few seconds: its figures mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file as well")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of faltung and of every peer (1)")
    options = parser.parse_args()
    if options.threads < 1:
        parser.error(f"--threads must be at least 1, not {options.threads}")
    machine = report.machine(options.threads)
    print(report.machine_text(machine), flush=True)
    chosen = list(SUITES) if "all" in options.suites else options.suites
    outcomes = {name: (SUITES | PARTS)[name](options.threads, options.quick) for name in chosen}
    for name, outcome in outcomes.items():
        print(report.outcome_text(name, outcome, options.quick), flush=True)
    if options.json:
        options.json.write_text(report.as_json(machine, outcomes, options.quick))
    return 1 if any(outcome.wrong for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
