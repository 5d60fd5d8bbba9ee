"""What a reflector does next: a pure state machine.

    STREAM ── list complete ──> WATCH <── list complete ── LIST
      │  ^                      │  │                        ^ │
      │  └──── 410, refused ────┘  └─ silence, 429, broken ─┐ │ └─ failed: back to STREAM, with backoff
      │                               connection: again,    │ │
      └── not supported ──────────────from the last version ┘─┘

Rules, with client-go's reflector as the measure (its numbers unless said otherwise):

* STREAM asks for the list as a watch with initial events (WatchList, KEP-3157): the server never holds the
  list in memory, and neither do we. A server that refuses it for good (400, 422), or ignores it twice in a row (no end
  of the initial events; once may be a server that hangs), is asked with LIST from then on; any other refusal means LIST
  this time. 429 and a connection that fails are tried again as STREAM.
* Lists are consistent reads, never "whatever the cache has" (resourceVersion=0), which client-go's first
  list is. A restarted controller must see what it wrote before it died. So a list cannot go back in time
  either, and there is no "too large resource version" to handle on it.
* A watch that the server closes, or that breaks, goes on from the last version seen. Nothing is lost
  or repeated by that, and the server says 410 if it cannot; so 429, 5xx and connection errors never cause a
  relist. Other refusals do.
* Backoff is 0.8 s doubling to 30 s, each times 1..2 at random, and starts over after two quiet minutes. A 410 counts apart:
  the server answers, so the list is taken at once; from the second 410 in a row there is a wait of its own.
* A kind that is not served (404) is asked for every five seconds, which is no failure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from typing import Final

from capt.runtime.errors import (
    ApiError,
    BadRequest,
    ConnectionFailed,
    Gone,
    Invalid,
    NotFound,
    RequestTimeout,
    ServerError,
    TooManyRequests,
    causes_of,
)

BACKOFF_BASE: Final = 0.8
BACKOFF_CAP: Final = 30.0
BACKOFF_RESET: Final = 120.0
"""Seconds without a failure after which the backoff starts over."""

MISSING_POLL: Final = 5.0
"""Seconds between two looks for a kind that is not served."""

SHORT_WATCH: Final = 1.0
"""A watch that ends sooner and brings nothing counts as a failure, or a broken server would be asked
a thousand times a second."""

MAX_BROKEN_STREAMS: Final = 3
"""Failures in a row after which a streamed list that always breaks off is given up for a paged one."""

MAX_SILENT_STREAMS: Final = 2
"""Streamed lists in a row without an end after which the server is believed to know none."""


class Phase(StrEnum):
    """What is to be done."""

    STREAM = "stream"
    LIST = "list"
    WATCH = "watch"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a reflector is.

    Attributes:
        phase: what is to be done next.
        delay: seconds to wait before that.
        reason: why the next list is taken: ``start``, ``gone`` (410) or ``error``.
        streaming: whether the server is believed to stream lists.
        silent: streamed lists in a row that had no end.
        expired: watches in a row whose version was too old (410).
        missing: the kind is not served.
        failures: failures since it was last quiet.
        failed_at: monotonic time of the last one.
    """

    phase: Phase = Phase.STREAM
    delay: float = 0.0
    reason: str = "start"
    streaming: bool = True
    silent: int = 0
    expired: int = 0
    missing: bool = False
    failures: int = 0
    failed_at: float = -inf


@dataclass(frozen=True, slots=True)
class Listed:
    """A list is complete, streamed or paged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The server closed the watch.

    Attributes:
        seconds: how long it lived.
        events: how many events it brought, bookmarks included.
    """

    seconds: float
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The phase ended with an error.

    Attributes:
        error: usually an :class:`ApiError`.
        seconds: how long the phase lasted.
    """

    error: Exception
    seconds: float


Outcome = Listed | Ended | Failed


def transition(state: State, outcome: Outcome, *, now: float, jitter: float) -> State:
    """Return the next state.

    Args:
        state: the state whose phase was carried out.
        outcome: how that went.
        now: monotonic time, in seconds.
        jitter: a random number from 0 to 1.
    """
    match outcome:
        case Listed():
            silent = 0 if state.phase is Phase.STREAM else state.silent
            return replace(state, phase=Phase.WATCH, delay=0.0, missing=False, silent=silent)
        case Ended() if state.phase is Phase.WATCH:
            state = replace(state, expired=0)
            if outcome.seconds >= SHORT_WATCH or outcome.events:
                return replace(state, delay=0.0)
            return _backed_off(state, Phase.WATCH, now, jitter)
        case Ended():
            ended = _backed_off(state, state.phase, now, jitter)
            # a server that ends streamed lists before their end can still be listed: progress beats purity
            return replace(ended, phase=Phase.LIST) if ended.failures >= MAX_BROKEN_STREAMS else ended
        case Failed(error=NotFound()):
            reason = "error" if state.phase is Phase.WATCH else state.reason
            return replace(
                state,
                phase=_list_phase(state),
                delay=MISSING_POLL * (1 + jitter / 5),
                silent=0,
                missing=True,
                reason=reason,
            )
    match state.phase:
        case Phase.STREAM:
            return _stream_failed(state, outcome.error, now, jitter)
        case Phase.LIST:
            return _backed_off(state, _list_phase(state), now, jitter, outcome.error)
        case Phase.WATCH:
            return _watch_failed(state, outcome, now, jitter)


def _stream_failed(state: State, error: Exception, now: float, jitter: float) -> State:
    match error:
        case Invalid() | BadRequest():
            return replace(state, phase=Phase.LIST, delay=0.0, streaming=False)
        case RequestTimeout():
            silent = state.silent + 1
            streaming = silent < MAX_SILENT_STREAMS
            return replace(state, phase=Phase.LIST, delay=0.0, silent=silent, streaming=streaming)
        case TooManyRequests() | ConnectionFailed():
            return _backed_off(state, Phase.STREAM, now, jitter, error)
    return replace(state, phase=Phase.LIST, delay=0.0)


def _watch_failed(state: State, outcome: Failed, now: float, jitter: float) -> State:
    error = outcome.error
    if isinstance(error, Gone) or _is_too_large(error):
        # once is the fate of a watch that slept too long, or whose server came back without a memory: it serves again,
        # so that what failed before is no reason to wait; again and again is a server in trouble
        expired = 0 if outcome.seconds > BACKOFF_RESET else state.expired
        delay = _delay(expired - 1, jitter) if expired else 0.0
        return replace(state, phase=_list_phase(state), delay=delay, reason="gone", expired=expired + 1)
    state = replace(state, expired=0)
    match error:
        case RequestTimeout():
            return replace(state, delay=0.0)
        case ConnectionFailed() if outcome.seconds >= SHORT_WATCH:
            return replace(state, delay=0.0)
        case TooManyRequests() | ConnectionFailed() | ServerError():
            return _backed_off(state, Phase.WATCH, now, jitter, error)
    return replace(_backed_off(state, _list_phase(state), now, jitter, error), reason="error")


def _list_phase(state: State) -> Phase:
    return Phase.STREAM if state.streaming else Phase.LIST


def _backed_off(
    state: State, phase: Phase, now: float, jitter: float, error: Exception | None = None
) -> State:
    failures = 0 if now - state.failed_at > BACKOFF_RESET else state.failures
    delay = _delay(failures, jitter)
    asked = error.retry_after if isinstance(error, ApiError) else None
    return replace(state, phase=phase, delay=max(delay, asked or 0.0), failures=failures + 1, failed_at=now)


def _delay(failures: int, jitter: float) -> float:
    return min(BACKOFF_BASE * 2.0 ** min(failures, 16), BACKOFF_CAP) * (1 + jitter)


def _is_too_large(error: Exception) -> bool:
    # the server's storage was restored from a backup: what we saw last is yet to come there
    return isinstance(error, ApiError) and "ResourceVersionTooLarge" in causes_of(error.details)
