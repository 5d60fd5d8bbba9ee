"""Who may read a port of this process: the API server is asked, as the kubelet and every Kubernetes component does.

A bearer token is given to a TokenReview, which says whose it is, and that user and the path to a SubjectAccessReview,
which says whether its roles let it read that (``nonResourceURLs: [/metrics]``). Answers are remembered for as long as
controller-runtime remembers them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from capt.runtime.clock import Clock
from capt.runtime.errors import ApiError, ConfigError
from capt.runtime.logging import get_logger
from capt.runtime.resource import Resource
from capt.runtime.rest import Rest
from capt.runtime.rights import may
from capt.runtime.transport import Transport

TOKEN_SECONDS: Final = 60.0
"""How long a TokenReview is believed."""

ALLOWED_SECONDS: Final = 300.0
"""How long a permission is believed."""

DENIED_SECONDS: Final = 30.0
"""How long a refusal is believed."""

ANSWER_SECONDS: Final = 10.0
"""How long the API server may take, with all tries."""

_REMEMBERED = 1024  # answers: more callers than a port of metrics ever has, fewer than an attacker's tokens

TOKEN_REVIEWS: Final = Resource(
    group="authentication.k8s.io", version="v1", kind="TokenReview", plural="tokenreviews", namespaced=False
)
ACCESS_REVIEWS: Final = Resource(
    group="authorization.k8s.io",
    version="v1",
    kind="SubjectAccessReview",
    plural="subjectaccessreviews",
    namespaced=False,
)

RIGHTS: Final = (may(TOKEN_REVIEWS, "create"), may(ACCESS_REVIEWS, "create"))
"""What asking needs at the API server; the built-in role ``system:auth-delegator`` grants the same."""

V = TypeVar("V")

_log = get_logger("serving")


@dataclass(frozen=True, slots=True)
class User:
    """Whose a token is, as a TokenReview says it."""

    name: str
    uid: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...]


class DelegatedAuth:
    """Decides about callers by asking the API server.

    Args:
        transport: the way there.
        clock: how old an answer is.
    """

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._rest = Rest(transport, clock, deadline=ANSWER_SECONDS)
        self._users: _Answers[User | None] = _Answers(clock)
        self._decisions: _Answers[bool] = _Answers(clock)

    async def user(self, token: str) -> User | None:
        """Return whose the token is, ``None`` if it is nobody's.

        Raises:
            ApiError: the API server refused, or did not answer.
        """
        digest = hashlib.sha256(token.encode()).digest()  # a token is not kept longer than the request
        known = self._users.get(digest)
        if known is not None:
            return known[0]
        status = await self._review(TOKEN_REVIEWS, {"token": token})
        user = _user(status) if status.get("authenticated") else None
        return self._users.put(digest, user, TOKEN_SECONDS)

    async def allows(self, user: User, verb: str, path: str) -> bool:
        """Tell whether the user's roles allow ``verb`` (``get``) on ``path`` (``/metrics``).

        Raises:
            ApiError: the API server refused, or did not answer.
        """
        question = (user, verb, path)
        known = self._decisions.get(question)
        if known is not None:
            return known[0]
        status = await self._review(
            ACCESS_REVIEWS,
            {
                "user": user.name,
                "uid": user.uid,
                "groups": list(user.groups),
                "extra": {name: list(values) for name, values in user.extra},
                "nonResourceAttributes": {"path": path, "verb": verb},
            },
        )
        allowed = bool(status.get("allowed"))
        return self._decisions.put(question, allowed, ALLOWED_SECONDS if allowed else DENIED_SECONDS)

    async def _review(self, resource: Resource, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        answer = await self._rest.call("POST", resource.path(), body=msgspec.json.encode(body))
        status: Mapping[str, Any] = msgspec.json.decode(answer.body).get("status") or {}
        return status


def guarded(auth: DelegatedAuth) -> Middleware:
    """Return an aiohttp middleware: 401 without a good token, 403 without the right, 500 when nobody can tell."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return _refusal(401, "Unauthorized")
        try:
            user = await auth.user(token.strip())
            if user is None:
                return _refusal(401, "Unauthorized")
            allowed = await auth.allows(user, request.method.lower(), request.path)
        except (ApiError, ConfigError) as error:
            _log.warning("cannot tell who may read this", path=request.path, error=str(error))
            return _refusal(500, "Authentication failed")
        if not allowed:
            return _refusal(403, f"Authorization denied for user {user.name}")
        return await handler(request)

    return guard


def _refusal(status: int, text: str) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return web.Response(status=status, text=text + "\n", headers=headers)


def _user(status: Mapping[str, Any]) -> User:
    user = status.get("user") or {}
    extra = user.get("extra") or {}
    return User(
        name=user.get("username", ""),
        uid=user.get("uid", ""),
        groups=tuple(user.get("groups") or ()),
        extra=tuple(sorted((name, tuple(values)) for name, values in extra.items())),
    )


class _Answers(Generic[V]):
    """The newest answers, each for its time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[Hashable, tuple[V, float]] = OrderedDict()

    def get(self, question: Hashable) -> tuple[V] | None:
        found = self._known.get(question)
        return (found[0],) if found is not None and self._clock.monotonic() < found[1] else None

    def put(self, question: Hashable, answer: V, seconds: float) -> V:
        self._known.pop(question, None)
        self._known[question] = (answer, self._clock.monotonic() + seconds)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return answer
