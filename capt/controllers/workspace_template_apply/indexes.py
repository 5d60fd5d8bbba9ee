"""Lookups that the caches answer at once: which applies a change of something else concerns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from capt.controllers import names
from capt.controllers.kinds import APPLY
from capt.controllers.workspace import FLAVOURS, owner_of
from capt.controllers.workspace_template import users
from capt.runtime import Key, Object
from capt.runtime.informer import Informers

WAITS_FOR_INDEX: Final = "waits-for"
"""On applies: the names in `waitForWorkspaces`, whatever their namespace."""

WORKSPACE_INDEX: Final = "workspace"
"""On applies: the names that their Workspace has or will have."""

OWNER_UID_INDEX: Final = "apply-uid"
"""On Workspaces: the uid of their apply."""

READS_INDEX: Final = "reads-secret"
"""On Workspaces: the Secrets that Terraform reads, when it destroys too, as "namespace/name"."""

WRITES_INDEX: Final = "writes-secret"
"""On Workspaces: the Secret that their outputs go to, as "namespace/name"."""


def declare(informers: Informers) -> None:
    """Declare the indexes; before any cache of these kinds starts."""
    users.declare(informers)
    informers.index(APPLY, WAITS_FOR_INDEX, _waits_for)
    informers.index(APPLY, WORKSPACE_INDEX, _workspaces)
    for flavour in FLAVOURS:
        informers.index(flavour.kind, OWNER_UID_INDEX, _owner_uid)
        informers.index(flavour.kind, READS_INDEX, _secrets_read)
        informers.index(flavour.kind, WRITES_INDEX, _secret_written)


def dependents_and_dependencies(informers: Informers, apply: Object) -> Iterable[Key]:
    """Return the applies that a change of this one concerns.

    Those that wait for it, and, since it holds up the deletion of what it waits for, those that it waits for.
    """
    store = informers.store(APPLY)
    own = {apply.name, *_workspaces(apply)}
    waiting = {waiter.key for name in own for waiter in store.by_index(WAITS_FOR_INDEX, name)}
    spec = apply.decode().get("spec") or {}
    for reference in spec.get("waitForWorkspaces") or ():
        named = Key(reference.get("namespace") or apply.namespace, reference["name"])
        waiting.add(named)
        waiting |= {found.key for found in store.by_index(WORKSPACE_INDEX, named.name)}
    return waiting - {apply.key}


def concerned_by_workspace(informers: Informers, workspace: Object) -> Iterable[Key]:
    """Return the apply that a Workspace was made for, and those whose Secrets it reads: they go after it."""
    concerned = [owner_of(workspace)]
    for secret in _secrets_read(workspace):
        for flavour in FLAVOURS:
            writers = informers.store(flavour.kind).by_index(WRITES_INDEX, secret)
            concerned += map(owner_of, writers)
    return {owner for owner in concerned if owner is not None}


def _waits_for(apply: Object) -> Iterable[str]:
    references = (apply.decode().get("spec") or {}).get("waitForWorkspaces") or ()
    return {reference["name"] for reference in references}


def _workspaces(apply: Object) -> Iterable[str]:
    named = (apply.decode().get("status") or {}).get("workspaceName")
    return {names.workspace_name(apply.namespace, apply.name), *filter(None, (named,))}


def secrets_read(spec: Mapping[str, Any], namespace: str) -> set[str]:
    """Return the Secrets, as "namespace/name", that a Workspace with this spec reads.

    Args:
        spec: As in a manifest.
        namespace: The Workspace's own; empty for a cluster-scoped one.
    """
    parameters = spec.get("forProvider") or {}
    inputs = [*(parameters.get("env") or ()), *(parameters.get("varFiles") or ())]
    references = [reference for each in inputs if (reference := each.get("secretKeyRef"))]
    return {f"{namespace or each.get('namespace', '')}/{each['name']}" for each in references}


def _secrets_read(workspace: Object) -> Iterable[str]:
    return secrets_read(workspace.decode().get("spec") or {}, workspace.namespace)


def _secret_written(workspace: Object) -> Iterable[str]:
    reference = (workspace.decode().get("spec") or {}).get("writeConnectionSecretToRef")
    if not reference:
        return ()
    return (f"{workspace.namespace or reference.get('namespace', '')}/{reference['name']}",)


def _owner_uid(workspace: Object) -> Iterable[str]:
    uid = workspace.labels.get(names.WORKSPACE_APPLY_UID_LABEL)
    return (uid,) if uid else ()
