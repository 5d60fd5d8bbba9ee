"""Writes of JSON that somebody else chose, exactly as it is.

A merge patch takes null for "remove", and API servers take nulls out of lists that a merge patch puts in place. Where a
value is any JSON, Terraform variables for instance, null is a value like any other. So where there is one, before or
after, the field is written with a JSON patch under the version that was seen; everywhere else the merge patch does, which
is shorter and cannot fail for a change of something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from capt.api import ApiObject
from capt.runtime import Kind, json_patch, merge_patch
from capt.runtime.client import Client

_T = TypeVar("_T", bound=ApiObject)


async def patch_exactly(
    client: Client, kind: Kind[_T], obj: _T, *, patch: Mapping[str, Any], path: Sequence[str], value: Any
) -> _T:
    """Patch an object, with one field becoming what it is to be to the last null.

    Args:
        client: Writes.
        kind: The kind of the object.
        obj: The object as it was read.
        patch: Merge patch of everything else.
        path: Names that lead to the field; its parents exist in the object.
        value: What the field is to be.

    Raises:
        Conflict: Somebody else wrote to the object; the next reconcile sees what became of it.
        ApiError: The API server refused, or did not answer.
    """
    before = client.content(obj)
    after = _with(merge_patch.apply(before, patch), path, value)
    metadata = obj.metadata
    return await client.json_patch(
        kind,
        metadata.namespace or "",
        metadata.name,
        json_patch.difference(before, after),
        resource_version=metadata.resource_version,
        uid=metadata.uid,
    )


def _with(document: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    name, *further = path
    return {**document, name: _with(document[name], further, value) if further else value}
