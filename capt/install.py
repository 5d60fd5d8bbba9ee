"""Puts capt's CustomResourceDefinitions on an API server and waits until it serves them.

`kubectl apply -f manifests/crds` does the same by hand; `--embedded` and tests do it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from capt.api.meta import ApiModel, Condition, ObjectMeta
from capt.runtime import Client, Clock, Kind, Resource, is_true

_POLL_SECONDS = 0.05
_DEADLINE_SECONDS = 60.0

_LOADER: Any = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # libyaml reads all of them in 40 ms, Python in 500


class _Status(ApiModel):
    conditions: tuple[Condition, ...] | None = None


class _Definition(ApiModel):
    metadata: ObjectMeta
    spec: dict[str, Any]
    status: _Status = _Status()


_DEFINITION = Kind(
    Resource(
        group="apiextensions.k8s.io",
        version="v1",
        kind="CustomResourceDefinition",
        plural="customresourcedefinitions",
        namespaced=False,
    ),
    _Definition,
)


def definitions(*folders: Path) -> list[dict[str, Any]]:
    """Return the CustomResourceDefinitions in the YAML files of `folders`, by file name."""
    return [
        document
        for folder in folders
        for file in sorted(folder.glob("*.yaml"))
        for document in yaml.load_all(file.read_text(encoding="utf-8"), _LOADER)
        if document and document["kind"] == "CustomResourceDefinition"
    ]


async def install_definitions(client: Client, manifests: Iterable[dict[str, Any]], clock: Clock) -> None:
    """Create the definitions, or bring existing ones up to date, and wait until all are served.

    Raises:
        TimeoutError: A definition was not established within 60 seconds; the message names those left.
        ApiError: The server refused a definition.
    """
    names = [await _apply(client, manifest) for manifest in manifests]
    deadline = clock.monotonic() + _DEADLINE_SECONDS
    while left := await _not_established(client, names):
        if clock.monotonic() > deadline:
            raise TimeoutError(f"not established after {_DEADLINE_SECONDS:.0f} s: {', '.join(left)}")
        await clock.sleep(_POLL_SECONDS)


async def _apply(client: Client, manifest: dict[str, Any]) -> str:
    name: str = manifest["metadata"]["name"]
    current = await client.get_live(_DEFINITION, "", name)
    if current is None:
        await client.create(_DEFINITION, manifest)
    else:
        labels = manifest["metadata"].get("labels", {})
        await client.apply_difference(
            _DEFINITION, current, {"metadata": {"labels": labels}, "spec": manifest["spec"]}
        )
    return name


async def _not_established(client: Client, names: Sequence[str]) -> list[str]:
    found = {item.metadata.name: item for item in await client.list_live(_DEFINITION)}
    return [
        name
        for name in names
        if name not in found or not is_true(found[name].status.conditions or (), "Established")
    ]
