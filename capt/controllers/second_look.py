"""A second look at what was found past the cache: of that no event may ever tell.

Usually the cache is merely behind, and shows it soon. But it may be ahead of an answer that is out of date, or never show
an object that carries none of the marks by which it selects; whoever then waits for an event waits for ever.
"""

from __future__ import annotations

from typing import Final

from capt.runtime.result import After, Done, Result

LOOK_AGAIN: Final = 10.0
"""Seconds until a second look."""


def wait_for(what: str, *, cached: bool) -> Result:
    """Return how to wait for a change of something.

    Args:
        what: its kind.
        cached: it was found in the cache, whose events tell of every change.
    """
    return Done() if cached else After(LOOK_AGAIN, what)
