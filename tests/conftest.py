"""What every test shares: `strategies` can be imported, and hypothesis has no deadline on a busy machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), max_examples=400, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
