"""Many requests of one kind at once, carefully."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from capt.runtime import ApiError

_T = TypeVar("_T")
_LARGEST: Final = 32


@dataclass(frozen=True, slots=True)
class Batched(Generic[_T]):
    """What became of a number of requests.

    Attributes:
        done: Items whose request succeeded.
        errors: What the others were answered. Items behind a batch with an error were not tried.
    """

    done: tuple[_T, ...]
    errors: tuple[ApiError, ...]


async def in_batches(items: Sequence[_T], request: Callable[[_T], Awaitable[object]]) -> Batched[_T]:
    """Make a request for each item, in batches of 1, 2, 4, ... up to 32 at once, until one fails.

    What is refused once is mostly refused always (quota, a broken template): the slow start, apps/v1's,
    costs one request then instead of hundreds.

    Raises:
        ExceptionGroup: A request failed in another way than by an answer of the API server.
    """
    done: list[_T] = []
    errors: list[ApiError] = []
    position, size = 0, 1

    async def attempt(item: _T) -> None:
        try:
            await request(item)
        except ApiError as error:
            errors.append(error)
        else:
            done.append(item)

    while position < len(items) and not errors:
        async with asyncio.TaskGroup() as group:
            for item in items[position : position + size]:
                group.create_task(attempt(item), name=f"batch: {item}")
        position += size
        size = min(size * 2, _LARGEST)
    return Batched(tuple(done), tuple(errors))
