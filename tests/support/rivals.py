"""A transport on which somebody else is always a moment quicker."""

from __future__ import annotations

import re
from typing import Any

from capt.runtime import Response, Transport

_OBJECT = re.compile(
    r"/apis/(?P<group>[^/]*cluster\.x-k8s\.io)/[^/]+/namespaces/[^/]+/(?P<plural>[^/]+)/[^/]+"
)
_TOUCH = b'{"metadata":{"labels":{"rival":"was-here"}}}'


class RivalledTransport:
    """Before the first patch of each object of Cluster API's groups, a rival changes a label of it.

    So a patch that goes with a resourceVersion is answered with a conflict, by the API server itself.

    Args:
        inner: To the API server.
        rival: The rival's own way there.

    Attributes:
        met: Plurals of the kinds of which an object was changed by the rival.
    """

    def __init__(self, inner: Transport, rival: Transport, *, seen: set[str] | None = None) -> None:
        self._inner = inner
        self._rival = rival
        self._seen: set[str] = set() if seen is None else seen

    @property
    def met(self) -> set[str]:
        return {found["plural"] for path in self._seen if (found := _OBJECT.fullmatch(path))}

    @property
    def base_url(self) -> str:
        return self._inner.base_url

    def with_user_agent(self, user_agent: str) -> RivalledTransport:
        return RivalledTransport(self._inner.with_user_agent(user_agent), self._rival, seen=self._seen)

    async def request(self, method: str, path: str, **arguments: Any) -> Response:
        if method == "PATCH" and path not in self._seen and _OBJECT.fullmatch(path):
            self._seen.add(path)
            await self._rival.request("PATCH", path, body=_TOUCH, content_type="application/merge-patch+json")
        return await self._inner.request(method, path, **arguments)

    def stream(self, path: str, **arguments: Any) -> Any:
        return self._inner.stream(path, **arguments)

    async def close(self) -> None:
        await self._inner.close()
