"""What every test shares: `strategies` can be imported, and hypothesis has no deadline on a busy machine."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

# The same examples every time, so that a change is judged by what it changed. New ones: --hypothesis-profile=explore.
settings.register_profile(
    "default", deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "explore", settings.get_profile("default"), max_examples=400, derandomize=False, print_blob=True
)
settings.load_profile("default")
