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
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from capt.runtime.clock import Clock
from capt.runtime.errors import (
    ApiError,
    ConnectionFailed,
    RequestTimeout,
    ServerError,
    TooManyRequests,
    raise_for_status,
)
from capt.runtime.logging import get_logger
from capt.runtime.transport import REQUEST_TIMEOUT, Response, Transport

TRIES: Final = 5
"""Most times that one request is sent. client-go has 10; here every caller has a backoff of its own as well."""

_LONGEST_WAIT: Final = 30.0

_log = get_logger("rest")


class Rest:
    """Requests with typed errors and retries, over a transport.

    Args:
        transport: the way to the server.
        clock: waits between tries.
    """

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self.transport = transport
        self._clock = clock
        self._warned: set[str] = set()

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
        try:
            return await self._once(
                method, path, query=query, body=body, content_type=content_type, accept=accept
            )
        except ApiError as error:
            if not _may_retry(method, error):
                raise
            first = error
        # tenacity costs more than the request when nothing fails, so it comes in only now
        await self._clock.sleep(_wait(first, 1))
        retrying = AsyncRetrying(
            sleep=self._clock.sleep,
            stop=stop_after_attempt(TRIES - 1),
            wait=_wait_after,
            retry=retry_if_exception(lambda error: _may_retry(method, error)),
            reraise=True,
        )
        return await retrying(
            self._once, method, path, query=query, body=body, content_type=content_type, accept=accept
        )

    async def _once(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        body: bytes | None,
        content_type: str,
        accept: str,
    ) -> Response:
        answer = await self.transport.request(
            method,
            path,
            query=query,
            body=body,
            content_type=content_type,
            accept=accept,
            timeout=REQUEST_TIMEOUT,
        )
        warning = answer.headers.get("Warning")
        if warning is not None and warning not in self._warned and len(self._warned) < 1000:
            self._warned.add(warning)
            _log.warning("the API server warns", warning=warning, method=method, path=path)
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
