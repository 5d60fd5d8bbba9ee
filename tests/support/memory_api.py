"""An API server's answers without a server: a Transport over a dictionary, for unit tests of what sits on one."""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from capt.runtime.errors import raise_for_status
from capt.runtime.transport import Response

Hook = Callable[[str, str], None]


def _answer(status: int, body: Mapping[str, Any]) -> Response:
    return Response(status=status, headers={}, body=json.dumps(body).encode())


def _refusal(status: int, reason: str, message: str = "refused") -> Response:
    return _answer(status, {"kind": "Status", "code": status, "reason": reason, "message": message})


class MemoryApi:
    """Create, read, merge-patch, delete, list and watch; resourceVersions, uids and preconditions are checked.

    Args:
        served: plural names of the resources that exist.
    """

    def __init__(self, *served: str) -> None:
        self.served = {"leases", "events", *served}
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.agents: list[str] = []
        self.before: Hook = lambda _method, _path: None
        self.closed = False
        self._version = 0
        self._history: list[tuple[int, str, str, dict[str, Any]]] = []
        self._changed = asyncio.Event()

    @property
    def writes(self) -> list[tuple[str, str]]:
        """All requests but reads."""
        return [request for request in self.requests if request[0] != "GET"]

    def all(self, plural: str) -> list[dict[str, Any]]:
        """Return the objects of a resource."""
        return [obj for key, obj in sorted(self.objects.items()) if key[0] == plural]

    def put(self, plural: str, namespace: str, name: str, **fields: Any) -> dict[str, Any]:
        """Store an object, new or not, as somebody else would."""
        key = (plural, namespace, name)
        old = self.objects.get(key, {"metadata": {"name": name, "namespace": namespace}})
        metadata = old["metadata"] | fields.pop("metadata", {})
        return self._store(key, {**old, **fields, "metadata": metadata})

    def drop(self, plural: str, namespace: str, name: str) -> None:
        """Delete an object, as somebody else would."""
        self._remove((plural, namespace, name))

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 30.0,  # noqa: ASYNC109 - the Protocol's
    ) -> Response:
        self.requests.append((method, path))
        self.before(method, path)
        await asyncio.sleep(0)
        return self._carry_out(method, path, json.loads(body) if body else {})

    def with_user_agent(self, user_agent: str) -> MemoryApi:
        self.agents.append(user_agent)
        return self

    async def close(self) -> None:
        self.closed = True

    async def stream(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
        idle_timeout: float,
    ) -> AsyncGenerator[bytes, None]:
        self.requests.append(("GET", path + "?watch"))
        self.before("GET", path + "?watch")
        plural, _, _ = self._parse(path)
        await asyncio.sleep(0)
        if plural not in self.served:
            raise_for_status(_refusal(404, "NotFound"))
        query = query or {}
        selector = query.get("fieldSelector", "").removeprefix("metadata.name=")
        position = int(query.get("resourceVersion") or 0)
        if not position:
            position = self._version
            for obj in self.all(plural):
                if not selector or obj["metadata"]["name"] == selector:
                    yield self._line("ADDED", obj)
            if "sendInitialEvents" in query:
                done = {
                    "resourceVersion": str(position),
                    "annotations": {"k8s.io/initial-events-end": "true"},
                }
                yield self._line("BOOKMARK", {"kind": self._kind(plural), "metadata": done})
        told = bisect_right(self._history, position, key=lambda change: change[0])
        while plural in self.served:
            while told < len(self._history):
                _, event, changed, obj = self._history[told]
                told += 1
                if changed == plural and selector in ("", obj["metadata"]["name"]):
                    yield self._line(event, obj)
            self._changed.clear()
            await self._changed.wait()

    def _carry_out(self, method: str, path: str, body: dict[str, Any]) -> Response:
        plural, namespace, name = self._parse(path)
        if plural not in self.served:
            return _refusal(404, "NotFound", "the server could not find the requested resource")
        key = (plural, namespace, name or body.get("metadata", {}).get("name", ""))
        old = self.objects.get(key)
        if method == "POST":
            return _refusal(409, "AlreadyExists") if old else _answer(201, self._store(key, body))
        if not name:
            metadata = {"resourceVersion": str(self._version)}
            return _answer(200, {"kind": "List", "metadata": metadata, "items": self.all(plural)})
        if old is None:
            return _refusal(404, "NotFound")
        if method == "GET":
            return _answer(200, old)
        wanted = body.get("preconditions", {}) if method == "DELETE" else body.get("metadata", {})
        for field in ("uid", "resourceVersion"):
            if wanted.get(field) not in (None, old["metadata"][field]):
                return _refusal(409, "Conflict")
        if method == "DELETE":
            return _answer(200, self._remove(key))
        return _answer(200, self._store(key, _merge(old, body)))

    def _parse(self, path: str) -> tuple[str, str, str]:
        parts = path.strip("/").split("/")
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        return rest[0], namespace, rest[1] if len(rest) > 1 else ""

    def _store(self, key: tuple[str, str, str], obj: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        metadata = {"uid": f"uid-{self._version}", "namespace": key[1], **obj["metadata"]}
        metadata["resourceVersion"] = str(self._version)
        stored = {"kind": self._kind(key[0]), **obj, "metadata": metadata}
        event = "MODIFIED" if key in self.objects else "ADDED"
        self.objects[key] = stored
        self._tell(event, key[0], stored)
        return stored

    def _remove(self, key: tuple[str, str, str]) -> dict[str, Any]:
        self._version += 1
        gone = self.objects.pop(key)
        gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self._version)}}
        self._tell("DELETED", key[0], gone)
        return gone

    def _tell(self, event: str, plural: str, obj: dict[str, Any]) -> None:
        self._history.append((self._version, event, plural, obj))
        self._changed.set()

    def _kind(self, plural: str) -> str:
        return plural[:-1].capitalize()

    def _line(self, event: str, obj: Mapping[str, Any]) -> bytes:
        return json.dumps({"type": event, "object": obj}).encode()


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged
