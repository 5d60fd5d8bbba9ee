from __future__ import annotations

import asyncio

import pytest

from capt.runtime import ApiError, ConnectionFailed, Invalid, RequestTimeout, ServerError, TooManyRequests
from capt.runtime.rest import TRIES, Rest
from capt.runtime.testing import FakeClock, settle
from tests.support.scripted import ScriptedTransport, answer, refusal


def scripted(*answers):
    """A transport that gives these answers, the last one for ever."""
    remaining = list(answers)

    def respond(_):
        found = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        if isinstance(found, Exception):
            raise found
        return found

    return ScriptedTransport(respond)


async def test_success_costs_nothing():
    """A request that is answered is sent once, without a wait."""
    transport, clock = scripted(answer({})), FakeClock()
    assert (await Rest(transport, clock).call("GET", "/x")).status == 200
    assert (len(transport.requests), clock.pending) == (1, 0)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("refused", [refusal(429, Retry_After="3"), refusal(503, Retry_After="3")])
async def test_the_server_says_when_to_come_back(method, refused):
    """What was answered with Retry-After was not carried out: it is sent again, after that time."""
    transport, clock = scripted(refused, refused, answer({})), FakeClock()
    call = asyncio.create_task(Rest(transport, clock).call(method, "/x"))
    await clock.advance(2.9)
    assert len(transport.requests) == 1
    await clock.advance(3.2)
    assert (await call).status == 200
    assert len(transport.requests) == 3


@pytest.mark.parametrize("error", [ConnectionFailed("reset"), RequestTimeout("slow")])
async def test_reads_without_answer_are_asked_again(error):
    """A GET that nobody answered is sent again."""
    transport, clock = scripted(error, answer({})), FakeClock()
    call = asyncio.create_task(Rest(transport, clock).call("GET", "/x"))
    await clock.advance(1)
    assert (await call).status == 200


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("error", [ConnectionFailed("reset"), RequestTimeout("slow")])
async def test_writes_without_answer_are_not_sent_again(method, error):
    """A write that nobody answered may have been carried out, so it is never sent twice."""
    transport = scripted(error)
    with pytest.raises(type(error)):
        await Rest(transport, FakeClock()).call(method, "/x")
    assert len(transport.requests) == 1


@pytest.mark.parametrize(("refused", "error"), [(refusal(500), ServerError), (refusal(422), Invalid)])
async def test_plain_refusals_are_final(refused, error):
    """A refusal that does not ask to come back is raised at once."""
    transport = scripted(refused)
    with pytest.raises(error):
        await Rest(transport, FakeClock()).call("GET", "/x")
    assert len(transport.requests) == 1


async def test_patience_ends():
    """After the last try the error is the caller's, and it is the typed one."""
    transport, clock = scripted(refusal(429)), FakeClock()
    call = asyncio.create_task(Rest(transport, clock).call("GET", "/x"))
    await settle()
    await clock.advance(60)
    with pytest.raises(TooManyRequests):
        await call
    assert len(transport.requests) == TRIES


@pytest.mark.parametrize("refused", [refusal(429, Retry_After="3"), ConnectionFailed("reset")])
async def test_a_deadline_bounds_all_tries_together(refused):
    """No try begins that could not end in time: the last error is raised instead of waiting on."""
    transport, clock = scripted(refused), FakeClock()
    call = asyncio.create_task(Rest(transport, clock, deadline=7.0).call("GET", "/x"))
    await clock.advance(7.0)
    assert call.done()
    with pytest.raises(ApiError):
        await call


async def test_a_try_gets_what_is_left_of_the_deadline():
    """The first try may take the whole time, each further one the rest."""
    transport, clock = scripted(refusal(429, Retry_After="3"), answer({})), FakeClock()
    given = []
    send = transport.request

    async def request(*args, timeout, **options):  # noqa: ASYNC109 - the Protocol's
        given.append(timeout)
        return await send(*args, timeout=timeout, **options)

    transport.request = request
    call = asyncio.create_task(Rest(transport, clock, deadline=5.0).call("GET", "/x"))
    await clock.advance(3.0)
    await call
    assert given == [5.0, 2.0]
