"""The real kubectl against the embedded server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from capt.embedded import ApiServer
from tests.support.api_client import CRDS, MERGE, WIDGETS, Client, definition, has_condition, widget

pytestmark = [
    pytest.mark.kubectl,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH"),
]

Kubectl = Callable[..., Awaitable[str]]


@pytest.fixture
async def kubectl(server: ApiServer, tmp_path: Path) -> Kubectl:
    """Runs kubectl against the server; its output, both channels; with ``fails`` a non-zero exit.

    With ``until`` it is ended as soon as a line of its output matches.
    """
    config = tmp_path / "kubeconfig"
    server.write_kubeconfig(config)
    environment = {**os.environ, "KUBECONFIG": str(config), "HOME": str(tmp_path)}

    async def run(*arguments: str, stdin: object = None, fails: bool = False, until: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        text = b"" if stdin is None else json.dumps(stdin).encode()
        async with asyncio.timeout(120):
            if until:
                assert process.stdout is not None
                line = b"begun"
                while line and not re.search(until, line.decode()):
                    line = await process.stdout.readline()
                process.kill()
            output, _ = await process.communicate(text)
        if until:
            assert line, "it ended without a line that matches"
            return line.decode()
        assert (process.returncode != 0) is fails, output.decode()
        return output.decode()

    return run


async def test_apply_get_and_delete(kubectl: Kubectl, api: Client) -> None:
    """A definition and an object are applied, shown with their columns, changed, diffed and deleted."""
    assert "customresourcedefinition.apiextensions.k8s.io/widgets.example.com created" in await kubectl(
        "apply", "-f", "-", stdin=definition()
    )
    await kubectl("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=10m")
    assert "widget.example.com/w created" in await kubectl("apply", "-f", "-", stdin=widget())
    assert "widget.example.com/w unchanged" in await kubectl("apply", "-f", "-", stdin=widget())
    lines = (await kubectl("get", "wi")).splitlines()
    assert lines[0].split() == ["NAME", "COLOR", "READY", "AGE"]
    assert lines[1].split()[:2] == ["w", "red"]
    assert "w" in await kubectl("get", "all")
    assert "+  color: blue" in await kubectl("diff", "-f", "-", stdin=widget(color="blue"), fails=True)
    assert "configured" in await kubectl("apply", "-f", "-", stdin=widget(color="blue"))
    assert (await kubectl("get", "wi", "w", "-o", "jsonpath={.spec.color}")) == "blue"
    assert 'widget.example.com "w" deleted' in await kubectl("delete", "-f", "-", stdin=widget())
    assert "No resources found" in await kubectl("get", "wi")


async def test_errors_are_shown_as_from_the_real_one(kubectl: Kubectl, widgets: Client) -> None:
    """What the server refuses, kubectl shows with kind, name, field and reason."""
    assert "strict decoding error: unknown field" in await kubectl(
        "apply", "-f", "-", stdin=widget(zoo=1), fails=True
    )
    refused = await kubectl("create", "-f", "-", stdin=widget(color="green"), fails=True)
    assert 'The Widget "w" is invalid' in refused
    assert 'spec.color: Unsupported value: "green": supported values: "red", "blue"' in refused
    apply = await kubectl("apply", "--server-side", "-f", "-", stdin=widget(), fails=True)
    assert "server-side apply is not served" in apply
    missing = await kubectl("get", "wi", "nobody", fails=True)
    assert 'Error from server (NotFound): widgets.example.com "nobody" not found' in missing
    assert "the server doesn't have a resource type" in await kubectl("get", "pods", fails=True)


async def test_wait_watch_and_scale(kubectl: Kubectl, widgets: Client) -> None:
    """kubectl wait sees a condition come, get -w shows changes, scale changes the replicas."""
    await widgets.create(WIDGETS, widget())
    waiting = asyncio.create_task(kubectl("wait", "--for=condition=Ready", "wi/w", "--timeout=10m"))
    watching = asyncio.create_task(kubectl("get", "wi", "-w", until=r"w +red +True"))
    scaled = await kubectl("scale", "wi/w", "--replicas=4")
    assert "widget.example.com/w scaled" in scaled
    assert (await widgets.get(f"{WIDGETS}/w")).body["spec"]["replicas"] == 4
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await widgets.patch(f"{WIDGETS}/w/status", ready, MERGE)
    assert "widget.example.com/w condition met" in await waiting
    await watching
    too_many = await kubectl("scale", "wi/w", "--replicas=40", fails=True)
    assert "at most ten" in too_many


async def test_describe_shows_events(kubectl: Kubectl, widgets: Client) -> None:
    """kubectl describe finds the events of an object."""
    made = await widgets.create(WIDGETS, widget())
    involved = {"kind": "Widget", "namespace": "default", "name": "w", "uid": made["metadata"]["uid"]}
    event = {"metadata": {"name": "e"}, "involvedObject": involved, "reason": "Painted", "message": "red now"}
    await widgets.create("/api/v1/namespaces/default/events", event | {"type": "Normal"})
    described = await kubectl("describe", "wi", "w")
    assert re.search(r"Normal +Painted .*red now", described)


async def test_explain_and_api_resources(kubectl: Kubectl, widgets: Client) -> None:
    """Descriptions and types come out of the schemas; short names and kinds out of discovery."""
    explained = await kubectl("explain", "widget.spec")
    assert "What is wanted." in explained
    assert re.search(r"color\t<string> -required-", explained)
    assert "data" in await kubectl("explain", "configmap")
    resources = await kubectl("api-resources")
    assert re.search(r"widgets +wi +example.com/v1 +true +Widget", resources)
    assert re.search(r"namespaces +ns +v1 +false +Namespace", resources)
    assert "example.com/v1" in await kubectl("api-versions")


async def test_built_in_kinds_are_created_from_the_command_line(kubectl: Kubectl, api: Client) -> None:
    """kubectl create speaks protobuf for built-in kinds; patch speaks strategic merge patch."""
    await kubectl("create", "namespace", "n")
    await kubectl("-n", "n", "create", "secret", "generic", "s", "--from-literal=user=me")
    await kubectl("-n", "n", "create", "configmap", "c", "--from-literal=a=b")
    await kubectl("-n", "n", "create", "serviceaccount", "x")
    assert (await api.get("/api/v1/namespaces/n/secrets/s")).body["data"] == {"user": "bWU="}
    await kubectl("-n", "n", "patch", "configmap", "c", "-p", '{"data":{"x":"y"}}')
    await kubectl("-n", "n", "label", "configmap", "c", "l=v")
    await kubectl("-n", "n", "annotate", "configmap", "c", "k=v")
    seen = (await api.get("/api/v1/namespaces/n/configmaps/c")).body
    assert (seen["data"], seen["metadata"]["labels"]) == ({"a": "b", "x": "y"}, {"l": "v"})
    assert "c " in await kubectl("-n", "n", "get", "configmaps", "-l", "l=v")
    await kubectl("delete", "namespace", "n")
    assert (await api.get("/api/v1/namespaces/n")).code == 404


async def test_delete_cascades(kubectl: Kubectl, widgets: Client) -> None:
    """kubectl delete waits until the object is gone; --cascade chooses what becomes of dependents."""
    parent = await widgets.create(WIDGETS, widget("parent"))
    reference = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "name": "parent",
        "uid": parent["metadata"]["uid"],
    }
    await widgets.create(WIDGETS, widget("child", meta={"ownerReferences": [reference]}))
    await kubectl("delete", "wi", "parent", "--cascade=orphan")
    assert (await widgets.get(f"{WIDGETS}/child")).code == 200
    await kubectl("delete", "crd", "widgets.example.com")
    assert (await widgets.get(f"{CRDS}/widgets.example.com")).code == 404
    assert not has_condition((await widgets.get(CRDS)).body, "Established")
