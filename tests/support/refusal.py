"""A transport that refuses what it is told to, as a quota, an admission policy or an overloaded server does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from capt.runtime import Response, Transport

_REASONS = {403: "Forbidden", 503: "ServiceUnavailable"}


class RefusingTransport:
    """Answers 403, or another code, to what `refuses` matches by method and path, and passes everything else on."""

    def __init__(
        self, inner: Transport, refuses: Callable[[str, str], bool], *, code: int = 403, cause: str = ""
    ) -> None:
        self._inner = inner
        self._refuses = refuses
        self._code = code
        self._cause = cause

    def with_user_agent(self, user_agent: str) -> RefusingTransport:
        inner = self._inner.with_user_agent(user_agent)
        return RefusingTransport(inner, self._refuses, code=self._code, cause=self._cause)

    async def request(self, method: str, path: str, **arguments: Any) -> Response:
        if self._refuses(method, path):
            status = {
                "apiVersion": "v1",
                "kind": "Status",
                "status": "Failure",
                "reason": _REASONS[self._code],
                "message": "refused by the test",
                "code": self._code,
                "details": {"causes": [{"reason": self._cause}] if self._cause else []},
            }
            return Response(status=self._code, headers={}, body=json.dumps(status).encode())
        return await self._inner.request(method, path, **arguments)

    def stream(self, path: str, **arguments: Any) -> Any:
        return self._inner.stream(path, **arguments)

    async def close(self) -> None:
        await self._inner.close()
