"""How large the fault tests are: small in the suite, in full with `make faults`; one shape."""

from __future__ import annotations

import os
import statistics

FULL = os.environ.get("CHARLA_FAULTS") == "full"


def size(small: int, full: int) -> int:
    return full if FULL else small


def percentiles(seconds: list[float]) -> str:
    """For the record that the full size is run for."""
    cuts = statistics.quantiles(seconds, n=100)
    return f"p50 {cuts[49]:.2f} s, p95 {cuts[94]:.2f} s, p99 {cuts[98]:.2f} s"
