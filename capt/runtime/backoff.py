"""How long to wait after the n-th failure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential backoff of one item: ``base * factor**failures`` seconds, at most ``cap``.

    The defaults are controller-runtime's (5 ms doubling up to 1000 s); there is no global rate limit beside
    it, as there is none there since the priority queue became the default. What calls slow external systems
    wants a larger base and a smaller cap.

    Attributes:
        base: seconds after the first failure.
        factor: growth per further failure.
        cap: most seconds between two tries.
    """

    base: float = 0.005
    factor: float = 2.0
    cap: float = 1000.0

    def __post_init__(self) -> None:
        if not (0 < self.base <= self.cap and self.factor >= 1):
            message = f"backoff needs 0 < base <= cap and factor >= 1, got {self}"
            raise ValueError(message)

    def delay(self, failures: int) -> float:
        """Return the seconds to wait when ``failures`` tries failed before this one."""
        try:
            return min(self.cap, self.base * self.factor**failures)
        except OverflowError:
            return self.cap


class ItemBackoff(Generic[K]):
    """Counts the failures of each item, independently of one another: client-go's ``ItemExponentialFailureRateLimiter``.

    What it remembers of an item stays until :meth:`forget`.

    Args:
        backoff: turns a count into seconds.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._failures: dict[K, int] = {}

    def charge(self, item: K) -> float:
        """Count a failure, and return the seconds to wait before the next try."""
        failures = self._failures.get(item, 0)
        self._failures[item] = failures + 1
        return self._backoff.delay(failures)

    def failures(self, item: K) -> int:
        """Return the failures since the last :meth:`forget`."""
        return self._failures.get(item, 0)

    def forget(self, item: K) -> None:
        """Start over: the item succeeded."""
        self._failures.pop(item, None)
