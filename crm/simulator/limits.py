"""Meta's own limits: messages a second per number, and messages to one customer."""

import time

NUMBER_PER_SECOND = 80
PAIR_BURST = 45
PAIR_SECONDS = 6.0


class Bucket:
    """A token bucket: `burst` tokens, `per_second` back."""

    __slots__ = ("burst", "last", "per_second", "tokens")

    def __init__(self, *, burst: float, per_second: float) -> None:
        self.burst, self.per_second = burst, per_second
        self.tokens, self.last = burst, time.monotonic()

    def take(self) -> bool:
        """Use one token if there is one."""
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + (now - self.last) * self.per_second)
        self.last = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    @property
    def full(self) -> bool:
        elapsed = time.monotonic() - self.last
        return self.tokens + elapsed * self.per_second >= self.burst


class Limits:
    """Counts accepted and refused calls alike, as Meta does."""

    def __init__(self, *, on: bool) -> None:
        self.on = on
        self._numbers: dict[str, Bucket] = {}
        self._pairs: dict[tuple[str, str], Bucket] = {}

    def over(self, number_id: str, wa_id: str) -> int | None:
        """The error code when this call is one too many, else None."""
        if not self.on:
            return None
        number = self._numbers.get(number_id)
        if number is None:
            number = self._numbers[number_id] = Bucket(
                burst=NUMBER_PER_SECOND, per_second=NUMBER_PER_SECOND
            )
        if not number.take():
            return 130429
        pair = self._pairs.get((number_id, wa_id))
        if pair is None:
            if len(self._pairs) > 20_000:
                # A bucket that has filled up again says no more than none at all.
                self._pairs = {key: row for key, row in self._pairs.items() if not row.full}
            pair = self._pairs[number_id, wa_id] = Bucket(
                burst=PAIR_BURST, per_second=1 / PAIR_SECONDS
            )
        return None if pair.take() else 131056
