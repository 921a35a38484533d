"""The experiments' parts do what their pages claim, and the pages are what the figures say."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shifts() -> Any:
    pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("shift_consistency", ROOT / "experiments" / "shift_consistency.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["shift_consistency"] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def test_images_move_around_the_edges(shifts: Any) -> None:
    import torch

    x = torch.randn(20, 1, 8, 8)
    steps = shifts.moves(20, 3, torch.Generator().manual_seed(0))
    moved = shifts.moved(x, steps)
    for image, result, step in zip(x, moved, steps.tolist(), strict=True):
        np.testing.assert_array_equal(np.roll(image.numpy(), step, (1, 2)), result.numpy())


def test_every_move_but_none_is_drawn(shifts: Any) -> None:
    import torch

    drawn = {tuple(step) for step in shifts.moves(2000, 1, torch.Generator().manual_seed(0)).tolist()}
    assert drawn == {(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)} - {(0, 0)}


def test_one_of_the_networks_follows_shifts(shifts: Any) -> None:
    import torch

    torch.manual_seed(0)
    x = torch.randn(30, 1, 32, 32)
    moved = shifts.moved(x, shifts.moves(30, 8, torch.Generator().manual_seed(1)))
    error = {}
    for name in shifts.NETWORKS:
        model = shifts.network(name).eval()
        before, after = shifts.logits(model, x), shifts.logits(model, moved)
        error[name] = float((before - after).abs().max() / before.abs().max())
    assert error["polyphase"] < 1e-5
    assert error["ordinary"] > 1e-2


def test_the_page_is_what_the_runs_say(shifts: Any) -> None:
    folder = ROOT / "docs" / "experiments"
    runs = shifts.read(folder / "shift_consistency.csv")
    assert len({r.seed for r in runs}) >= 5
    assert shifts.document(runs) == (folder / "shift_consistency.md").read_text()
