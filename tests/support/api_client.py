"""A plain HTTPS client of an API server that shows answers as they came, and manifests to play with."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from capt.embedded import ApiServer

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
MERGE, JSON_PATCH, STRATEGIC = (
    f"application/{kind}+json" for kind in ("merge-patch", "json-patch", "strategic-merge-patch")
)

_SECONDS = 60.0  # it never decides but where a test fails

WIDGET_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A widget does what widgets do.",
    "properties": {
        "spec": {
            "type": "object",
            "description": "What is wanted.",
            "required": ["color"],
            "properties": {
                "color": {"type": "string", "enum": ["red", "blue"], "description": "Its color."},
                "replicas": {"type": "integer", "minimum": 0, "default": 1},
                "size": {"x-kubernetes-int-or-string": True},
                "note": {"type": "string", "nullable": True},
                "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
            "x-kubernetes-validations": [{"rule": "self.replicas <= 10", "message": "at most ten"}],
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


def definition(
    plural: str = "widgets", kind: str = "Widget", scope: str = "Namespaced", **version: Any
) -> dict[str, Any]:
    """A CustomResourceDefinition in the group example.com; keywords replace parts of its only version."""
    columns = [
        {"name": "Color", "type": "string", "jsonPath": ".spec.color"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    served = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": WIDGET_SCHEMA},
        "subresources": {"status": {}, "scale": scale},
        "additionalPrinterColumns": columns,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.example.com"},
        "spec": {
            "group": "example.com",
            "scope": scope,
            "names": {"plural": plural, "kind": kind, "shortNames": [plural[:2]], "categories": ["all"]},
            "versions": [served | version],
        },
    }


def widget(
    name: str = "w", *, color: str = "red", meta: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """A Widget manifest."""
    metadata = {"name": name, **(meta or {})}
    return {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": metadata,
        "spec": {"color": color, **spec},
    }


def config_map(name: str = "c", **meta: Any) -> dict[str, Any]:
    """A ConfigMap manifest."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}, "data": {"a": "b"}}


def owner(of: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """An owner reference to an object as the server answered it."""
    meta = of["metadata"]
    return {
        "apiVersion": of["apiVersion"],
        "kind": of["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        **rest,
    }


@dataclass(frozen=True)
class Answer:
    """What came back: status code, decoded body, headers."""

    code: int
    body: Any
    headers: Any

    @property
    def rv(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])

    @property
    def message(self) -> str:
        return str(self.body["message"])

    @property
    def warnings(self) -> list[str]:
        return [json.loads(text.removeprefix("299 - ")) for text in self.headers.getall("Warning", [])]


class Stream:
    """A running watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> dict[str, Any]:
        """The next event."""
        async with asyncio.timeout(_SECONDS):
            line = await self.response.content.readline()
        assert line.endswith(b"\n"), f"the stream ended: {line!r}"
        event: dict[str, Any] = json.loads(line)
        return event

    async def take(self, count: int) -> list[tuple[str, str]]:
        """The next events as type and name."""
        events = [await self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]

    async def rest(self) -> bytes:
        """What still comes until the server ends the stream."""
        async with asyncio.timeout(_SECONDS):
            return await self.response.content.read()


class Client:
    """A plain HTTPS client of a server."""

    def __init__(self, url: str, ca_pem: str, token: str) -> None:
        self._streams: list[aiohttp.ClientResponse] = []
        context = ssl.create_default_context(cadata=ca_pem)
        self.session = aiohttp.ClientSession(
            base_url=url,
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            headers={"Authorization": f"Bearer {token}", "User-Agent": "test"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for stream in self._streams:
            stream.close()
        await self.session.close()

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Any = None,
        **query: Any,
    ) -> Answer:
        """Send a request; keywords are the query."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | (headers or {})
        async with self.session.request(
            method, path, data=None if data is None else io.BytesIO(data), headers=sent, params=query
        ) as response:
            received = await response.read()
            kind = response.headers.get("Content-Type", "")
            return Answer(
                response.status, json.loads(received) if "json" in kind else received, response.headers
            )

    async def get(self, path: str, **query: Any) -> Answer:
        return await self.send("GET", path, **query)

    async def post(self, path: str, body: Any, **query: Any) -> Answer:
        return await self.send("POST", path, body, **query)

    async def put(self, path: str, body: Any, **query: Any) -> Answer:
        return await self.send("PUT", path, body, **query)

    async def patch(self, path: str, body: Any, kind: str = MERGE, **query: Any) -> Answer:
        return await self.send("PATCH", path, body, headers={"Content-Type": kind}, **query)

    async def delete(self, path: str, body: Any = None, **query: Any) -> Answer:
        return await self.send("DELETE", path, body, **query)

    async def create(self, path: str, body: Any, **query: Any) -> Any:
        """POST that must succeed; the created object."""
        answer = await self.post(path, body, **query)
        assert answer.code == 201, answer.body
        return answer.body

    async def watch(self, path: str, **query: Any) -> Stream:
        """A watch whose head has arrived."""
        headers = query.pop("headers", {})
        response = await self.session.get(path, params={"watch": "1", **query}, headers=headers)
        self._streams.append(response)
        return Stream(response)

    async def define(self, manifest: dict[str, Any]) -> None:
        """Create a CustomResourceDefinition and wait until it is served."""
        await self.create(CRDS, manifest)
        name = manifest["metadata"]["name"]
        await self.until(f"{CRDS}/{name}", lambda o: has_condition(o, "Established"))

    async def until(self, path: str, holds: Any) -> Any:
        """Wait until the object at the path is as wanted; the object."""
        async with asyncio.timeout(_SECONDS):
            answer = await self.get(path)
            while answer.code != 200 or not holds(answer.body):
                answer = await self.get(path)
            return answer.body

    async def until_gone(self, path: str) -> None:
        """Wait until nothing is at the path."""
        async with asyncio.timeout(_SECONDS):
            while (await self.get(path)).code != 404:
                pass


def has_condition(content: dict[str, Any], kind: str, status: str = "True") -> bool:
    """Whether the object's status has the condition."""
    conditions = content.get("status", {}).get("conditions") or []
    return any(c["type"] == kind and c["status"] == status for c in conditions)


def connect(server: ApiServer) -> Client:
    """A client of a server in this process."""
    return Client(server.url, server.ca_pem, server.token)
