"""One request to the API server: typed errors out, and asked again where that is safe.

What is asked again, a few times:

* anything answered with 429, or with 5xx and ``Retry-After``: the server says that it did nothing, and when to
  come back;
* a GET without an answer: nothing can have happened twice.

A write without an answer is never sent again from here: it may have been carried out, and only the reconcile
that wanted it can look. Leader election and reflectors do not go through here; they have rules of their own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from math import inf
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from capt.runtime.clock import Clock
from capt.runtime.errors import (
    ApiError,
    ConnectionFailed,
    RequestTimeout,
    ServerError,
    TooManyRequests,
    raise_for_status,
)
from capt.runtime.transport import REQUEST_TIMEOUT, Response, Transport

TRIES: Final = 5
"""Most times that one request is sent. client-go has 10; here every caller has a backoff of its own as well."""

_LONGEST_WAIT: Final = 30.0


class Rest:
    """Requests with typed errors and retries, over a transport.

    Args:
        transport: the way to the server.
        clock: waits between tries.
        deadline: most seconds that a call may take, all tries together; ``None`` for no bound beyond each try's own.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        *,
        deadline: float | None = None,
    ) -> None:
        self.transport = transport
        self.deadline = deadline
        self._clock = clock

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Response:
        """Send a request and return its successful answer.

        Raises:
            ApiError: the typed one, after the last try.
        """
        end = inf if self.deadline is None else self._clock.monotonic() + self.deadline
        send = partial(
            self._once,
            method,
            path,
            query=query,
            body=body,
            content_type=content_type,
            accept=accept,
            end=end,
        )
        try:
            return await send()
        except ApiError as error:
            wait = _wait(error, 1)
            if not _may_retry(method, error) or self._clock.monotonic() + wait >= end:
                raise
        # tenacity costs more than the request when nothing fails, so it comes in only now
        await self._clock.sleep(wait)
        retrying = AsyncRetrying(
            sleep=self._clock.sleep,
            stop=lambda state: (
                state.attempt_number >= TRIES - 1 or self._clock.monotonic() + state.upcoming_sleep >= end
            ),
            wait=_wait_after,
            retry=retry_if_exception(lambda error: _may_retry(method, error)),
            reraise=True,
        )
        return await retrying(send)

    async def _once(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        body: bytes | None,
        content_type: str,
        accept: str,
        end: float,
    ) -> Response:
        answer = await self.transport.request(
            method,
            path,
            query=query,
            body=body,
            content_type=content_type,
            accept=accept,
            timeout=min(REQUEST_TIMEOUT, end - self._clock.monotonic()),
        )
        raise_for_status(answer)
        return answer


def _may_retry(method: str, error: BaseException) -> bool:
    match error:
        case TooManyRequests():
            return True
        case ServerError():
            return error.retry_after is not None
        case ConnectionFailed() | RequestTimeout():
            return method == "GET"
    return False


def _wait_after(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return _wait(error, state.attempt_number + 1)


def _wait(error: BaseException | None, attempt: int) -> float:
    asked = error.retry_after if isinstance(error, ApiError) else None
    if asked is not None:
        return min(asked, _LONGEST_WAIT)
    return min(0.1 * 2.0**attempt, _LONGEST_WAIT) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret
