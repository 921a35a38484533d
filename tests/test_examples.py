"""The examples run as their first lines say, and do what they claim."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_train_digits(tmp_path: Path) -> None:
    for module in ("torch", "sklearn", "matplotlib"):
        pytest.importorskip(module)
    command = [sys.executable, EXAMPLES / "train_digits.py", "--epochs", "5", "--out", tmp_path / "digits.png"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    ours, theirs = (float(share) for share in re.findall(r"reads ([0-9.]+) %", result.stdout))
    assert min(ours, theirs) > 90
    assert abs(ours - theirs) < 2
    assert (tmp_path / "digits.png").stat().st_size > 10_000
