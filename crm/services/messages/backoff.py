"""How long to wait before another try. Pure; jitter keeps messages from coming back at once."""

from __future__ import annotations

import random
from dataclasses import dataclass

# Times the base (2 s by setting): 2, 8, 30, 120, 600 s, and 600 s from there on.
RETRY_STEPS = (1, 4, 15, 60, 300)
LONGEST_PAIR_STEPS = 6  # 4^6 s is over an hour


@dataclass(frozen=True)
class Backoff:
    """`base` is the first ordinary delay in seconds; every other time grows and shrinks with it."""

    base: float = 2.0

    @property
    def _second(self) -> float:
        return self.base / 2

    def retry(self, tries: int) -> float:
        """Seconds before the next try, after `tries` (1, 2, ...) that failed in passing."""
        step = RETRY_STEPS[min(tries, len(RETRY_STEPS)) - 1]
        return self.base * step * random.uniform(0.8, 1.2)

    def pair(self, refusals: int) -> float:
        """4^n s for the n-th refusal in a row for one person (0, 1, ...), as Meta asks."""
        return self._second * 4 ** min(refusals, LONGEST_PAIR_STEPS) * random.uniform(1.0, 1.2)

    def rate(self) -> float:
        """The whole number sends too fast: a short pause."""
        return self._second * random.uniform(1.0, 3.0)

    def hold(self, tries: int) -> float:
        """The number is refused: 30 s, doubling up to 15 min, before one message tries again."""
        return self._second * min(30 * 2 ** min(tries, 10), 900) * random.uniform(0.9, 1.1)
