"""Who waits for whom among applies: what is not ready yet, circles, and the order of deletion.

`spec.waitForWorkspaces` draws edges between applies. Towards creation they are followed forwards: an apply waits
until what it names is ready. Towards deletion they are followed backwards: what an apply built on goes after it. A
circle would make both wait for ever, so it is named at creation and does not count at deletion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from capt.api import ObjectReference, Workspace, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.consent import ALLOWED_NAMESPACES_ANNOTATION
from capt.controllers.workspace import State, assess
from capt.runtime import Key
from capt.runtime.conditions import find_condition

Graph = Mapping[Key, Sequence[Key]]
"""Each apply with those that it waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One entry of `waitForWorkspaces`, and what goes by that name.

    Attributes:
        key: Namespace and name that were given.
        apply: The apply that is meant, by its own name or by its Workspace's.
        workspace: Where there is no such apply: a Workspace of that name, whoever made it.
        elsewhere: Whether another namespace is meant, where only what consents is seen.
    """

    key: Key
    apply: WorkspaceTemplateApply | None = None
    workspace: Workspace | None = None
    elsewhere: bool = False


def reference_key(reference: ObjectReference, namespace: str) -> Key:
    """Return what `reference` names when it stands in an object of `namespace`."""
    return Key(reference.namespace or namespace, reference.name)


def lacking(dependency: Dependency, *, now: datetime) -> str | None:
    """Return what is missing of a dependency, for people; None when it is ready."""
    if dependency.apply is not None:
        return _apply_lacks(dependency.apply, dependency.key)
    if dependency.workspace is None:
        consent = f" that allows its use from here by {ALLOWED_NAMESPACES_ANNOTATION}"
        return (
            f"{dependency.key} (there is no WorkspaceTemplateApply and no Workspace of that name"
            f"{consent if dependency.elsewhere else ''})"
        )
    readiness = assess(dependency.workspace, now=now)
    if readiness.state is State.AVAILABLE:
        return None
    return f"{dependency.key} (its Workspace is not ready: {readiness.state})"


def refers_to(apply: WorkspaceTemplateApply, target: WorkspaceTemplateApply) -> bool:
    """Return whether `apply` waits for `target`, by its own name or by its Workspace's."""
    namespace, name = target.metadata.namespace or "", target.metadata.name
    workspaces = {names.workspace_name(namespace, name), target.status.workspace_name}
    keys = [
        reference_key(reference, apply.metadata.namespace or "")
        for reference in apply.spec.wait_for_workspaces
    ]
    return any(key == (namespace, name) or key.name in workspaces for key in keys)


def cycle(start: Key, graph: Graph) -> tuple[Key, ...]:
    """Return a shortest circle from `start` back to it, `start` at both ends; empty when there is none."""
    paths: list[tuple[Key, ...]] = [(start,)]
    seen: set[Key] = set()
    for path in paths:  # grows while it is walked: breadth first
        for following in graph.get(path[-1], ()):
            if following == start:
                return (*path, start)
            if following not in seen:
                seen.add(following)
                paths.append((*path, following))
    return ()


def blocking_deletion(
    apply: Key, dependents: Iterable[WorkspaceTemplateApply], graph: Graph
) -> tuple[Key, ...]:
    """Return the applies whose infrastructure stands on that of `apply`, so that theirs must go first.

    A dependent without a Workspace has built nothing, and one that `apply` itself waits for, directly or not, is part
    of a circle; neither holds the deletion up.
    """
    keys = {_key(dependent): dependent for dependent in dependents if dependent.status.workspace_name}
    return tuple(key for key in sorted(keys) if key != apply and not _reaches(apply, key, graph))


def _reaches(start: Key, goal: Key, graph: Graph) -> bool:
    seen, ahead = {start}, [start]
    while ahead:
        for key in graph.get(ahead.pop(), ()):
            if key == goal:
                return True
            if key not in seen:
                seen.add(key)
                ahead.append(key)
    return False


def _apply_lacks(apply: WorkspaceTemplateApply, key: Key) -> str | None:
    if apply.metadata.deletion_timestamp is not None:
        return f"{key} (it is being deleted)"
    ready = find_condition(apply.status.conditions, "Ready")
    if ready is None or apply.status.observed_generation != apply.metadata.generation:
        return f"{key} (it is not reconciled yet)"
    return None if ready.status == "True" else f"{key} (it is not ready: {ready.reason})"


def _key(apply: WorkspaceTemplateApply) -> Key:
    return Key(apply.metadata.namespace or "", apply.metadata.name)
