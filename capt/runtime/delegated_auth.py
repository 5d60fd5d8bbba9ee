"""Who may read a port of this process: the API server is asked, as the kubelet and every Kubernetes component does.

A bearer token is given to a TokenReview, which says whose it is, and that user and the path to a SubjectAccessReview,
which says whether its roles let it read that (``nonResourceURLs: [/metrics]``). Answers are remembered for as long as
controller-runtime remembers them, and of those who want the same answer at the same time, one asks.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
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


class _Review(msgspec.Struct):
    status: dict[str, Any] | None = None


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

        async def ask() -> tuple[User | None, float]:
            status = await self._review(TOKEN_REVIEWS, {"token": token})
            return (_user(status) if status.get("authenticated") else None), TOKEN_SECONDS

        return await self._users.get(digest, ask)

    async def allows(self, user: User, verb: str, path: str) -> bool:
        """Tell whether the user's roles allow ``verb`` (``get``) on ``path`` (``/metrics``).

        Raises:
            ApiError: the API server refused, or did not answer.
        """

        async def ask() -> tuple[bool, float]:
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
            return allowed, ALLOWED_SECONDS if allowed else DENIED_SECONDS

        return await self._decisions.get((user, verb, path), ask)

    async def _review(self, resource: Resource, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        answer = await self._rest.call("POST", resource.path(), body=msgspec.json.encode(body))
        try:
            return msgspec.json.decode(answer.body, type=_Review).status or {}
        except msgspec.DecodeError as error:
            raise ApiError(f"what answered the {resource.kind} is none: {error}") from error


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
    """The newest answers, each for its time, and the questions that are being asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[Hashable, tuple[V, float]] = OrderedDict()
        self._asked: dict[Hashable, asyncio.Future[V]] = {}

    async def get(self, question: Hashable, ask: Callable[[], Awaitable[tuple[V, float]]]) -> V:
        while True:
            known = self._known.get(question)
            if known is not None and self._clock.monotonic() < known[1]:
                return known[0]
            asked = self._asked.get(question)
            if asked is None:
                return await self._ask(question, ask)
            await asyncio.wait(
                [asked]
            )  # unlike an await of it, this leaves it alone when the caller goes away
            if not asked.cancelled():
                return asked.result()

    async def _ask(self, question: Hashable, ask: Callable[[], Awaitable[tuple[V, float]]]) -> V:
        asked = self._asked[question] = asyncio.get_running_loop().create_future()
        try:
            answer, seconds = await ask()
        except (ApiError, ConfigError) as error:
            asked.set_exception(error)
            asked.exception()  # there may be nobody else to hear of it
            raise
        else:
            asked.set_result(answer)
            self._remember(question, answer, seconds)
            return answer
        finally:
            del self._asked[question]
            asked.cancel()  # who asked went away without an answer: the next one asks

    def _remember(self, question: Hashable, answer: V, seconds: float) -> None:
        self._known.pop(question, None)
        self._known[question] = (answer, self._clock.monotonic() + seconds)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
