"""A transport that refuses what it is told to, as a quota or an admission policy does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from capt.runtime import Response, Transport

_STATUS = {
    "apiVersion": "v1",
    "kind": "Status",
    "status": "Failure",
    "reason": "Forbidden",
    "message": "refused by the test",
    "code": 403,
}


class RefusingTransport:
    """Answers 403 to what `refuses` matches by method and path, and passes everything else on."""

    def __init__(self, inner: Transport, refuses: Callable[[str, str], bool]) -> None:
        self._inner = inner
        self._refuses = refuses

    def with_user_agent(self, user_agent: str) -> RefusingTransport:
        return RefusingTransport(self._inner.with_user_agent(user_agent), self._refuses)

    async def request(self, method: str, path: str, **arguments: Any) -> Response:
        if self._refuses(method, path):
            return Response(status=403, headers={}, body=json.dumps(_STATUS).encode())
        return await self._inner.request(method, path, **arguments)

    def stream(self, path: str, **arguments: Any) -> Any:
        return self._inner.stream(path, **arguments)

    async def close(self) -> None:
        await self._inner.close()
