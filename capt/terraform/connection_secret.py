"""The Secret that carries all outputs, sensitive ones included: what is in it, and whether we may write it. Pure functions.

As the provider does it: strings as they are, any other value as JSON; type ``connection.crossplane.io/v1alpha1``;
controlled by the Workspace, so that it goes with it; a Secret that is somebody else's is left alone.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from capt.api import Secret, Workspace
from capt.runtime import Key, Kind, controller_reference
from capt.terraform.executor import Output

TYPE: Final = "connection.crossplane.io/v1alpha1"


class ForeignSecretError(Exception):
    """The Secret that the Workspace names is not ours to write: somebody else's, or nowhere to be put."""


def key(workspace: Workspace) -> Key | None:
    """Return where the Workspace wants its outputs; ``None`` when nowhere.

    In a namespaced Workspace the Secret lies in its own namespace, whatever the reference says.
    """
    reference = workspace.spec.write_connection_secret_to_ref
    if reference is None:
        return None
    return Key(workspace.metadata.namespace or reference.namespace or "", reference.name)


def encode(outputs: Mapping[str, Output]) -> dict[str, bytes]:
    """Return the data of the Secret."""
    return {
        name: (
            output.value
            if isinstance(output.value, str)
            else json.dumps(output.value, separators=(",", ":"), ensure_ascii=False)
        ).encode()
        for name, output in sorted(outputs.items())
    }


def manifest(
    kind: Kind[Workspace], workspace: Workspace, secret: Key, outputs: Mapping[str, Output]
) -> dict[str, Any]:
    """Return the Secret to create."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret.name,
            "namespace": secret.namespace,
            "ownerReferences": [controller_reference(kind, workspace)],
        },
        "type": TYPE,
        "data": _base64(encode(outputs)),
    }


def check_ours(workspace: Workspace, secret: Secret) -> None:
    """Check that an existing Secret may be written.

    Raises:
        ForeignSecretError: another object controls it, or nobody does and it is no connection secret.
    """
    where = f"{secret.metadata.namespace}/{secret.metadata.name}"
    owner = secret.metadata.controller
    if owner is not None and owner.uid != workspace.metadata.uid:
        message = (
            f"cannot create or update connection secret: {where} is controlled by {owner.kind} {owner.name}"
        )
        raise ForeignSecretError(message)
    if owner is None and secret.type != TYPE:
        message = f"cannot create or update connection secret: {where} exists and is of type {secret.type}"
        raise ForeignSecretError(message)


def desired(
    kind: Kind[Workspace], workspace: Workspace, secret: Secret, outputs: Mapping[str, Output]
) -> dict[str, Any]:
    """Return the fields that an existing Secret must have; ``None`` for what must go: no stale credential lingers."""
    data = encode(outputs)
    fields: dict[str, Any] = {"data": {**dict.fromkeys(secret.data.keys() - data.keys()), **_base64(data)}}
    if secret.metadata.controller is None:
        others = [
            owner.model_dump(mode="json", by_alias=True, exclude_none=True)
            for owner in secret.metadata.owner_references
        ]
        fields["metadata"] = {"ownerReferences": [*others, controller_reference(kind, workspace)]}
    return fields


def _base64(data: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(value).decode() for name, value in data.items()}
