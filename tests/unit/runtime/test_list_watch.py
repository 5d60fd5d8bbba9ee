from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capt.runtime import (
    BadRequest,
    ConnectionFailed,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    RequestTimeout,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from capt.runtime.list_watch import MISSING_POLL, Ended, Failed, Listed, Phase, State, transition

STREAM, LIST, WATCH = Phase.STREAM, Phase.LIST, Phase.WATCH
TOO_LARGE = ServerError("x", status=504, details={"causes": [{"reason": "ResourceVersionTooLarge"}]})


def failed(error, seconds=0.0):
    return Failed(error=error, seconds=seconds)


@pytest.mark.parametrize(
    ("phase", "outcome", "expected", "waits"),
    [
        (STREAM, Listed(), WATCH, False),
        (LIST, Listed(), WATCH, False),
        # invariant 72, what a streamed list may answer
        (STREAM, failed(Invalid("x")), LIST, False),
        (STREAM, failed(BadRequest("x")), LIST, False),
        (STREAM, failed(RequestTimeout("x")), LIST, False),
        (STREAM, failed(Forbidden("x")), LIST, False),
        (STREAM, failed(ServerError("x")), LIST, False),
        (STREAM, failed(TooManyRequests("x")), STREAM, True),
        (STREAM, failed(ConnectionFailed("x")), STREAM, True),
        # invariant 73, broken off before its end
        (STREAM, Ended(seconds=9, events=0), STREAM, True),
        # invariants 61 and 62, no relist
        (WATCH, failed(TooManyRequests("x")), WATCH, True),
        (WATCH, failed(ConnectionFailed("x")), WATCH, True),
        (WATCH, failed(ServerError("x")), WATCH, True),
        (WATCH, failed(ConnectionFailed("x"), seconds=60), WATCH, False),
        # invariant 75, silence
        (WATCH, failed(RequestTimeout("x"), seconds=120), WATCH, False),
        # invariant 63, closed by the server
        (WATCH, Ended(seconds=300, events=0), WATCH, False),
        (WATCH, Ended(seconds=0.1, events=1), WATCH, False),
        (WATCH, Ended(seconds=0.1, events=0), WATCH, True),
        # invariants 60 and 65, relist
        (WATCH, failed(Gone("x")), STREAM, False),
        (WATCH, failed(TOO_LARGE), STREAM, False),
        (WATCH, failed(Unauthorized("x")), STREAM, True),
        (WATCH, failed(ValueError("x")), STREAM, True),
        (LIST, failed(ServerError("x")), STREAM, True),
        (LIST, failed(ConnectionFailed("x")), STREAM, True),
    ],
)
def test_what_comes_next(phase, outcome, expected, waits):
    """Each outcome of each phase leads where the rules say, at once or after a wait."""
    state = transition(State(phase=phase), outcome, now=1000.0, jitter=0.5)
    assert (state.phase, state.delay > 0) == (expected, waits)


@pytest.mark.parametrize(
    "outcomes",
    [
        [failed(Invalid("x"))],
        [failed(BadRequest("x"))],
        [failed(RequestTimeout("x")), Listed(), failed(Gone("x")), failed(RequestTimeout("x"))],
    ],
)
def test_a_server_that_cannot_stream_is_not_asked_again(outcomes):
    """A streamed list that was refused as invalid, or ignored twice in a row, is never asked for again."""
    state = State()
    for outcome in outcomes:
        state = transition(state, outcome, now=0.0, jitter=0.0)
    for outcome in (failed(ServerError("x")), Listed(), failed(Gone("x"))):
        state = transition(state, outcome, now=0.0, jitter=0.0)
        assert state.phase is not STREAM


@pytest.mark.parametrize("well", [Listed(), failed(NotFound("x"))])
def test_a_server_that_hangs_now_and_then_goes_on_streaming(well):
    """Silence once is no proof: a server that hung is asked for streamed lists again, as often as it recovers."""
    state = State()
    for _ in range(5):
        for outcome in (failed(RequestTimeout("x")), Listed(), failed(Gone("x"))):
            state = transition(state, outcome, now=0.0, jitter=0.0)
        assert state.phase is STREAM
        state = transition(state, well, now=0.0, jitter=0.0)
        if state.phase is WATCH:
            state = transition(state, failed(Gone("x")), now=0.0, jitter=0.0)


def test_a_server_that_refuses_once_is_asked_again():
    """After any other refusal, only this list is paged; the next is streamed again."""
    state = transition(State(), failed(Forbidden("x")), now=0.0, jitter=0.0)
    state = transition(state, failed(Forbidden("x")), now=0.0, jitter=0.0)
    assert state.phase is STREAM


def test_streams_that_always_break_off_are_given_up():
    """After three streamed lists that ended before their end, a paged one is taken."""
    state = State()
    phases = []
    for _ in range(3):
        state = transition(state, Ended(seconds=0, events=0), now=0.0, jitter=0.0)
        phases.append(state.phase)
    assert phases == [STREAM, STREAM, LIST]


@pytest.mark.parametrize("phase", list(Phase))
def test_a_missing_kind_is_asked_for_calmly(phase):
    """A kind that is not served is asked for every five seconds or so, and that is no failure."""
    state = transition(State(phase=phase), failed(NotFound("x")), now=0.0, jitter=1.0)
    assert (state.phase, state.missing, state.failures) == (STREAM, True, 0)
    assert MISSING_POLL <= state.delay <= 1.2 * MISSING_POLL
    assert not transition(state, Listed(), now=0.0, jitter=0.0).missing


def test_backoff():
    """Waits double from 0.8 s to 30 s, times a random number from 1 to 2."""
    state, waits = State(phase=WATCH), []
    for _ in range(8):
        state = transition(state, failed(ConnectionFailed("x")), now=0.0, jitter=0.0)
        waits.append(state.delay)
    assert waits == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    assert transition(state, failed(ConnectionFailed("x")), now=0.0, jitter=1.0).delay == 60.0


def test_backoff_starts_over_after_two_quiet_minutes():
    """Two minutes after the last failure the next one waits the shortest time again."""
    state = State(phase=WATCH, failures=9, failed_at=1000.0)
    assert transition(state, failed(ConnectionFailed("x")), now=1119.0, jitter=0.0).delay == 30.0
    assert transition(state, failed(ConnectionFailed("x")), now=1121.0, jitter=0.0).delay == 0.8


def test_the_server_may_ask_for_more_patience():
    """Retry-After is honoured when it is longer than the backoff."""
    error = TooManyRequests("x", status=429, retry_after=17)
    assert transition(State(phase=WATCH), failed(error), now=0.0, jitter=0.0).delay == 17


def test_gone_again_and_again_waits():
    """The first 410 relists at once, each that follows on it waits longer, and a watch that goes well ends that."""
    state, waits = State(phase=WATCH), []
    for _ in range(4):
        state = transition(state, failed(Gone("x")), now=0.0, jitter=0.0)
        waits.append(state.delay)
        assert state.reason == "gone"
        state = transition(state, Listed(), now=0.0, jitter=0.0)
    assert waits == [0.0, 0.8, 1.6, 3.2]
    well = transition(state, Ended(seconds=300, events=1), now=0.0, jitter=0.0)
    assert transition(well, failed(Gone("x")), now=0.0, jitter=0.0).delay == 0.0
    assert transition(state, failed(Gone("x"), seconds=121.0), now=0.0, jitter=0.0).delay == 0.0


def test_gone_after_an_outage_does_not_wait():
    """A server that comes back without a memory answers 410: the list is taken at once, in a second outage too."""
    state = State(phase=WATCH)
    for _ in range(2):
        for error in (ConnectionFailed("x"), ConnectionFailed("x"), TooManyRequests("x", status=429)):
            state = transition(state, failed(error), now=0.0, jitter=0.0)
        state = transition(state, failed(Gone("x")), now=5.0, jitter=0.0)
        assert (state.phase, state.delay, state.reason) == (STREAM, 0.0, "gone")
        state = transition(state, Listed(), now=5.0, jitter=0.0)


outcomes = st.one_of(
    st.just(Listed()),
    st.builds(Ended, seconds=st.sampled_from([0.0, 400.0]), events=st.sampled_from([0, 5])),
    st.builds(
        Failed,
        error=st.sampled_from(
            [
                Gone("x"),
                NotFound("x"),
                ConnectionFailed("x"),
                ServerError("x"),
                Invalid("x"),
                ValueError("x"),
                TOO_LARGE,
            ]
        ),
        seconds=st.sampled_from([0.0, 60.0]),
    ),
)


@given(st.lists(outcomes, max_size=40))
def test_never_a_hot_loop(steps):
    """Whatever the server does, more than a few quick failures within two minutes always lead to a wait."""
    state, quick = State(), 0
    for outcome in steps:
        lasted = getattr(outcome, "seconds", 0.0) > 1.0 or getattr(outcome, "events", 0)
        state = transition(state, outcome, now=0.0, jitter=0.0)
        assert 0.0 <= state.delay <= 60.0
        quick = 0 if state.delay or lasted or isinstance(outcome, Listed) else quick + 1
        assert quick <= 2
