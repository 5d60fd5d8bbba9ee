from __future__ import annotations

import asyncio

import pytest

from capt.controllers.batches import in_batches
from capt.runtime import Forbidden


async def test_all_requests_are_made_and_never_more_than_32_at_once():
    """Many requests run side by side, but not all at once."""
    running = most = 0

    async def request(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    result = await in_batches(range(200), request)
    assert sorted(result.done) == list(range(200))
    assert result.errors == ()
    assert most == 32


async def test_what_is_refused_is_not_tried_for_all():
    """The slow start costs one refused request, not hundreds."""
    tried = []

    async def request(item: int) -> None:
        tried.append(item)
        raise Forbidden("quota", status=403)

    result = await in_batches(range(200), request)
    assert tried == [0]
    assert [error.message for error in result.errors] == ["quota"]


async def test_a_batch_with_one_refusal_is_finished_and_the_rest_left():
    """What goes well beside a refusal is reported as done."""

    async def request(item: int) -> None:
        if item == 2:
            raise Forbidden("no", status=403)

    result = await in_batches(range(200), request)
    assert (sorted(result.done), len(result.errors)) == ([0, 1], 1)


async def test_bugs_are_not_taken_for_refusals():
    """An error that is no answer of the API server is raised."""

    async def request(_: int) -> None:
        raise KeyError("bug")

    with pytest.raises(ExceptionGroup):
        await in_batches([1], request)
