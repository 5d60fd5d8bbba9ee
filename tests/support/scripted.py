"""A Transport whose other end is the test: it answers requests and speaks on watches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from capt.runtime import Kind, Object, Resource, Response, parse_object

DEADLINE = 60.0  # seconds; it never decides but where a test fails


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class OwnerReference(Model):
    uid: str = ""
    controller: bool | None = None


class Metadata(Model):
    name: str
    namespace: str | None = None
    uid: str = ""
    resource_version: str = ""
    generation: int | None = None
    deletion_timestamp: Any = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class ThingSpec(Model):
    size: int = 0


class ThingStatus(Model):
    ready: bool = False
    note: str | None = None
    outputs: dict[str, Any] = Field(default_factory=dict, exclude_if=lambda outputs: not outputs)


class Thing(Model):
    metadata: Metadata
    spec: ThingSpec = Field(default_factory=ThingSpec)
    status: ThingStatus = Field(default_factory=ThingStatus)


THINGS = Resource(group="example.com", version="v1", kind="Thing", plural="things")
THING: Kind[Thing] = Kind(THINGS, Thing)


def manifest(
    name: str,
    resource_version: int = 1,
    *,
    namespace: str = "default",
    uid: str = "",
    resource: Resource = THINGS,
    owner: str = "",
    deleting: bool = False,
    labels: Mapping[str, str] | None = None,
    **rest: Any,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"uid-of-{name}",
        "resourceVersion": str(resource_version),
    }
    if labels:
        metadata["labels"] = dict(labels)
    if owner:
        metadata["ownerReferences"] = [
            {
                "apiVersion": "example.com/v1",
                "kind": "Thing",
                "name": "owner",
                "uid": owner,
                "controller": True,
            }
        ]
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **rest}


def thing(name: str, resource_version: int = 1, **rest: Any) -> Object:
    return parse_object(json.dumps(manifest(name, resource_version, **rest)).encode(), THINGS)


def event(kind: str, obj: Mapping[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode()


def bookmark(resource_version: int, *, end: bool | str = False) -> bytes:
    annotations = {"k8s.io/initial-events-end": end if isinstance(end, str) else "true"} if end else {}
    meta = {"resourceVersion": str(resource_version), "annotations": annotations}
    return event("BOOKMARK", {"kind": "Thing", "apiVersion": "example.com/v1", "metadata": meta})


def answer(body: Mapping[str, Any], status: int = 200, **headers: str) -> Response:
    return Response(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=json.dumps(body).encode(),
    )


def status(code: int, reason: str = "", **rest: Any) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, **rest}


def refusal(code: int, reason: str = "", **headers: str) -> Response:
    return answer(status(code, reason, message=f"refused with {code}"), code, **headers)


def page(*items: Mapping[str, Any], resource_version: int = 10, token: str = "") -> Response:
    return answer({"metadata": {"resourceVersion": str(resource_version), "continue": token}, "items": items})


@dataclass
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    content: Any
    content_type: str
    accept: str


@dataclass
class Watch:
    """One open watch: what the reflector asked for, and the test's end of the stream."""

    path: str
    query: Mapping[str, str]
    accept: str = ""
    closed: bool = False
    lines: asyncio.Queue[bytes | Exception | None] = field(default_factory=asyncio.Queue)

    def send(self, *lines: bytes) -> None:
        for line in lines:
            self.lines.put_nowait(line)

    def end(self) -> None:
        self.lines.put_nowait(None)

    def fail(self, error: Exception) -> None:
        self.lines.put_nowait(error)


class ScriptedTransport:
    """Answers requests with `respond`; each watch that is opened waits in `watches` for the test.

    `refusals` are raised, one each, by the next watches instead.
    """

    def __init__(self, respond: Callable[[Request], Response] | None = None) -> None:
        self.requests: list[Request] = []
        self.watches: list[Watch] = []
        self.refused: list[Mapping[str, str]] = []
        self.refusals: list[Exception] = []
        self.respond = respond or (lambda _: refusal(404, "NotFound"))
        self._changed = asyncio.Condition()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 30.0,  # noqa: ASYNC109 - part of the Protocol
    ) -> Response:
        content = json.loads(body) if body is not None else None
        request = Request(method, path, dict(query or {}), content, content_type, accept)
        self.requests.append(request)
        return self.respond(request)

    async def stream(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
        idle_timeout: float,
    ) -> AsyncGenerator[bytes, None]:
        if self.refusals:
            self.refused.append(dict(query or {}))
            raise self.refusals.pop(0)
        watch = Watch(path, dict(query or {}), accept)
        async with self._changed:
            self.watches.append(watch)
            self._changed.notify_all()
        try:
            while (line := await watch.lines.get()) is not None:
                if isinstance(line, Exception):
                    raise line
                yield line
        finally:
            watch.closed = True

    async def opened(self, number: int) -> Watch:
        """Return the watch with this number, counted from 0, once it is open."""
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(lambda: len(self.watches) > number)
        return self.watches[number]

    def with_user_agent(self, user_agent: str) -> ScriptedTransport:
        return self

    async def close(self) -> None:
        return


async def until(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds; checked on every turn of the event loop."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - what is waited for is state of the code under test
            await asyncio.sleep(0)
