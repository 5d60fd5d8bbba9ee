"""How long to wait after the n-th failure."""

from __future__ import annotations

from dataclasses import dataclass


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
