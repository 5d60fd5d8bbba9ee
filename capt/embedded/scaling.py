"""The scale subresource: a custom resource's replicas as ``autoscaling/v1`` Scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from capt.embedded.errors import FieldError, StatusError, bad_request, invalid
from capt.embedded.resource import Resource, Scale

_GO_TYPES = {
    str: "string",
    bool: "bool",
    float: "float64",
    list: "[]interface {}",
    dict: "map[string]interface {}",
}
_KEPT = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def _dig(content: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _scale(resource: Resource) -> Scale:
    assert resource.scale is not None
    return resource.scale


def scale_of(resource: Resource, content: dict[str, Any]) -> dict[str, Any]:
    """The Scale of an object.

    Raises:
        StatusError: 500, when the object does not say how many replicas it wants.
    """
    paths = _scale(resource)
    wanted = _dig(content, paths.spec_replicas)
    if wanted is None:
        dotted = "".join(f".{name}" for name in paths.spec_replicas)
        raise StatusError(500, "InternalError", f'the spec replicas field "{dotted}" does not exist')
    status: dict[str, Any] = {"replicas": _dig(content, paths.status_replicas) or 0}
    if selector := _dig(content, paths.selector) if paths.selector else None:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: content["metadata"][name] for name in _KEPT if name in content["metadata"]},
        "spec": {"replicas": wanted},
        "status": status,
    }


def apply_scale(resource: Resource, content: dict[str, Any], scale: dict[str, Any]) -> dict[str, Any]:
    """``content`` with the replicas that ``scale`` asks for, in place.

    Raises:
        StatusError: 400 for something that is no Scale.
    """
    replicas = _dig(scale, ("spec", "replicas")) or 0
    if scale.get("kind") != "Scale" or not isinstance(replicas, int) or isinstance(replicas, bool):
        raise bad_request("the body of the request is not a Scale of autoscaling/v1")
    *parents, last = _scale(resource).spec_replicas
    target = content
    for parent in parents:
        target = target.setdefault(parent, {})
    target[last] = replicas
    if version := _dig(scale, ("metadata", "resourceVersion")):
        content["metadata"]["resourceVersion"] = version
    return content


def scale_errors(scale: Scale, content: dict[str, Any]) -> Iterator[FieldError]:
    """What keeps an object's replicas from being shown as a Scale."""
    for path in (scale.spec_replicas, scale.status_replicas):
        field, value = "".join(f".{name}" for name in path), _dig(content, path)
        if isinstance(value, int) and not isinstance(value, bool):
            if value < 0:
                yield invalid(field, value, "should be a non-negative integer")
        elif value is not None:
            shown = str(value).lower() if isinstance(value, bool) else value
            text = f"{field} accessor error: {shown} is of the type {_GO_TYPES[type(value)]}, expected int64"
            yield invalid(field, 0, text)
