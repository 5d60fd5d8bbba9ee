"""Lookups that the caches answer at once: which applies a change of something else concerns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

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


def declare(informers: Informers) -> None:
    """Declare the indexes; before any cache of these kinds starts."""
    users.declare(informers)
    informers.index(APPLY, WAITS_FOR_INDEX, _waits_for)
    informers.index(APPLY, WORKSPACE_INDEX, _workspaces)
    for flavour in FLAVOURS:
        informers.index(flavour.kind, OWNER_UID_INDEX, _owner_uid)


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


def owner_of_workspace(workspace: Object) -> Iterable[Key]:
    """Return the apply that a Workspace was made for."""
    owner = owner_of(workspace)
    return () if owner is None else (owner,)


def _waits_for(apply: Object) -> Iterable[str]:
    references = (apply.decode().get("spec") or {}).get("waitForWorkspaces") or ()
    return {reference["name"] for reference in references}


def _workspaces(apply: Object) -> Iterable[str]:
    named = (apply.decode().get("status") or {}).get("workspaceName")
    return {names.workspace_name(apply.namespace, apply.name), *filter(None, (named,))}


def _owner_uid(workspace: Object) -> Iterable[str]:
    uid = workspace.labels.get(names.WORKSPACE_APPLY_UID_LABEL)
    return (uid,) if uid else ()
