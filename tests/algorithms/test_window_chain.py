"""Chains make the windows they are asked for: sums of every sample once, extrema of every sample at least once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faltung.algorithms.window_chain import MOST_GROUPED, Chain, Price, chain

PRICES = st.sampled_from([Price(1.4, 0.1, 0.1, 0.5), Price(1.0, 0.5, 0.5, 0.5, 0), Price(0.1, 1.0, 1.0, 1.0, 8, 3)])


def windows(found: Chain, runs: int) -> tuple[list[dict[tuple[int, int], int]], list[int]]:
    """Execute a chain on sets of samples: how often each (run, sample) is in the window; and the levels' lengths."""
    levels = [{(0, 0): 1}]
    for i, stage in enumerate(found.stages):
        total: dict[tuple[int, int], int] = {}
        for part in stage.parts:
            assert part.run == 0 or i == len(found.stages) - 1
            for (_, sample), count in levels[part.level].items():
                place = (part.run, sample + part.offset)
                total[place] = total.get(place, 0) + count
        levels.append(total)
    assert all(run < runs for run, _ in levels[-1])
    return levels, [len(level) for level in levels]


@given(st.integers(1, 400), st.integers(1, 3), PRICES, st.booleans(), st.booleans())
def test_windows_hold_exactly_their_samples(total, runs, price, overlap, once) -> None:
    lengths = [-(-(total - run) // runs) for run in range(min(runs, total))]
    found = chain(tuple(lengths), price, overlap=overlap, once=once)
    levels, _ = windows(found, len(lengths))
    wanted = {(run, sample) for run, length in enumerate(lengths) for sample in range(length)}
    assert set(levels[-1]) == wanted
    if not overlap:
        assert set(levels[-1].values()) == {1}
    assert all(1 <= stage.count <= MOST_GROUPED for stage in found.stages)
    if once:
        assert all(part.level > 0 for stage in found.stages[1:] for part in stage.parts)


@given(st.integers(1, 3000), PRICES)
def test_additions_bound_the_depth_of_the_tree(length, price) -> None:
    found = chain((length,), price, overlap=False, once=False)
    depths = [0]
    for stage in found.stages:
        # A group of k windows is paired by powers of two; the last extra window takes part in one addition.
        ends = [depths[stage.level] + int(np.ceil(np.log2(stage.count))) + len(stage.extras)]
        ends += [depths[part.level] + len(stage.extras) - i for i, part in enumerate(stage.extras)]
        depths.append(max(ends))
    assert found.additions == depths[-1]
    assert found.additions >= np.ceil(np.log2(length))


@pytest.mark.parametrize("overlap", [False, True])
def test_the_cost_grows_like_the_logarithm(overlap) -> None:
    price = Price(1.4, 0.1, 0.1, 0.5)
    costs = [chain((n,), price, overlap=overlap, once=True).cost for n in (8, 64, 512, 4096, 32768)]
    assert max(np.diff(costs)) <= 5
    assert costs[-1] <= 20
    found = [chain((n,), price, overlap=overlap, once=True) for n in range(2, 300)]
    assert max(each.additions for each in found) <= 16
