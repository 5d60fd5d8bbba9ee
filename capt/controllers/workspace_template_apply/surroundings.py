"""Reads what surrounds an apply: its Workspaces, what it waits for, who waits for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from capt.api import ObjectMeta, ObjectReference, Workspace, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.consent import ALLOWED_NAMESPACES_ANNOTATION, allows
from capt.controllers.kinds import APPLY, SECRET
from capt.controllers.manifest import to_manifest
from capt.controllers.workspace import FLAVOURS, GO_ORIGINAL, Flavour
from capt.controllers.workspace_template_apply.dependencies import (
    Dependency,
    Graph,
    blocking_deletion,
    cycle,
    lacking,
    reference_key,
    refers_to,
)
from capt.controllers.workspace_template_apply.indexes import (
    OWNER_UID_INDEX,
    READS_INDEX,
    WAITS_FOR_INDEX,
    WORKSPACE_INDEX,
    WRITES_INDEX,
    secrets_read,
)
from capt.controllers.workspace_template_apply.plan import Found, recorded_group
from capt.controllers.workspace_template_apply.status import Waits
from capt.runtime import Key
from capt.runtime.client import Client


class Surroundings:
    """Reads only; from the cache where that is enough.

    Args:
        client: Reads.
        cross_namespace: True shows what lies in other namespaces whether it consents or not.
    """

    def __init__(self, client: Client, *, cross_namespace: bool) -> None:
        self._client = client
        self._cross_namespace = cross_namespace

    async def served(self) -> frozenset[str]:
        """Return the API groups that serve Workspaces."""
        return frozenset([flavour.group for flavour in FLAVOURS if await self._client.served(flavour.kind)])

    async def own_workspaces(self, apply: WorkspaceTemplateApply) -> tuple[Found, ...]:
        """Return the Workspaces that carry the uid of `apply`; those that are not being deleted come first."""
        found = [
            Found(flavour=flavour, workspace=workspace)
            for flavour in FLAVOURS
            for workspace in await self._client.list(
                flavour.kind, index=(OWNER_UID_INDEX, apply.metadata.uid)
            )
        ]
        return tuple(sorted(found, key=lambda each: each.workspace.metadata.deletion_timestamp is not None))

    async def named_workspace(self, apply: WorkspaceTemplateApply) -> Found | None:
        """Return the Workspace that the status of `apply` names otherwise than we would have named it.

        The Go original left such Workspaces, without marks, so they are in no cache. It knew one flavour.
        """
        named = apply.status.workspace_name
        if named is None or named == names.workspace_name(*_key(apply)):
            return None
        return await self.workspace_of_name(GO_ORIGINAL, apply.metadata.namespace or "", named)

    async def taken(self, apply: WorkspaceTemplateApply) -> tuple[Found, ...]:
        """Return every Workspace under a name that `apply` could have given, whoever it belongs to; read live."""
        namespace, name = _key(apply)
        named = await self.named_workspace(apply)
        computed = [
            await self.workspace_of_name(flavour, namespace, names.workspace_name(namespace, name))
            for flavour in FLAVOURS
        ]
        return tuple(found for found in (named, *computed) if found is not None)

    async def workspace_of_name(self, flavour: Flavour, namespace: str, name: str) -> Found | None:
        """Return the Workspace of this flavour and name, read live; None if there is none, or no such flavour."""
        if not await self._client.served(flavour.kind):
            return None
        workspace = await self._client.get_live(flavour.kind, flavour.namespace_for(namespace), name)
        return None if workspace is None else Found(flavour=flavour, workspace=workspace)

    async def waits(self, apply: WorkspaceTemplateApply, *, now: datetime) -> Waits:
        """Return what `apply` waits for that is not there yet."""
        return Waits(
            secrets=await self._missing_secrets(apply), workspaces=await self._unready_workspaces(apply, now)
        )

    async def unserved_group(self, apply: WorkspaceTemplateApply) -> str:
        """Return the API group of the Workspace that `apply` has or had, if that is not served; else nothing."""
        recorded = recorded_group(apply)
        return "" if not recorded or recorded in await self.served() else recorded

    async def missing_secrets(self, own: Iterable[Found]) -> tuple[Key, ...]:
        """Return the Secrets that these Workspaces read and that are not there."""
        names_read = sorted({name for found in own for name in _secrets_of(found.workspace)})
        keys = [Key(*name.split("/", 1)) for name in names_read]
        return tuple([key for key in keys if not await self._client.exists(SECRET, *key)])

    async def secret_readers(self, apply: WorkspaceTemplateApply, own: Iterable[Found]) -> tuple[Key, ...]:
        """Return the applies whose Terraform reads what these Workspaces of `apply` put into their Secrets.

        Destroying reads it too, and the Secret goes with its Workspace. One that `apply` itself reads from, directly or
        not, is part of a circle and does not hold it up.
        """
        ours = [found.workspace for found in own]
        readers = [reader for workspace in ours for reader in await self._readers(workspace)]
        blocking = [
            reader
            for reader in readers
            if reader.metadata.labels.get(names.WORKSPACE_APPLY_UID_LABEL) != apply.metadata.uid
            and not await self._reads_from(ours, reader)
        ]
        owners = {each.metadata.annotations.get(names.WORKSPACE_APPLY_ANNOTATION, "") for each in blocking}
        return tuple(Key(*owner.split("/", 1)) for owner in sorted(owners) if "/" in owner)

    async def _reads_from(self, readers: list[Workspace], writer: Workspace) -> bool:
        ahead, seen = list(readers), {each.metadata.uid for each in readers}
        while ahead:
            for secret in _secrets_of(ahead.pop()):
                for found in await self._of_index(WRITES_INDEX, secret):
                    if found.metadata.uid == writer.metadata.uid:
                        return True
                    if found.metadata.uid not in seen:
                        seen.add(found.metadata.uid)
                        ahead.append(found)
        return False

    async def _readers(self, workspace: Workspace) -> list[Workspace]:
        reference = workspace.spec.write_connection_secret_to_ref
        if reference is None:
            return []
        secret = f"{workspace.metadata.namespace or reference.namespace}/{reference.name}"
        return await self._of_index(READS_INDEX, secret)

    async def _of_index(self, index: str, value: str) -> list[Workspace]:
        return [
            workspace
            for flavour in FLAVOURS
            for workspace in await self._client.list(flavour.kind, index=(index, value))
        ]

    async def blocking_dependents(self, apply: WorkspaceTemplateApply) -> tuple[Key, ...]:
        """Return the applies that must be gone before the infrastructure of `apply` may go."""
        key = _key(apply)
        own_names = {key.name, names.workspace_name(*key), *filter(None, (apply.status.workspace_name,))}
        dependents = [
            dependent
            for name in sorted(own_names)
            for dependent in await self._client.list(APPLY, index=(WAITS_FOR_INDEX, name))
            if refers_to(dependent, apply)
            and self._serves(apply.metadata, dependent.metadata.namespace or "")
        ]
        return blocking_deletion(key, dependents, await self._graph(apply)) if dependents else ()

    async def _missing_secrets(self, apply: WorkspaceTemplateApply) -> tuple[str, ...]:
        keys = _keys(apply, apply.spec.wait_for_secrets)
        own = apply.metadata.namespace or ""
        return tuple([lack for key in keys if (lack := await self._secret_lacks(key, own))])

    async def _secret_lacks(self, key: Key, namespace: str) -> str:
        annotations = await self._client.annotations(SECRET, *key)
        if key.namespace == namespace or self._cross_namespace:
            return "" if annotations is not None else str(key)
        if annotations is not None and allows(annotations, namespace):
            return ""
        # absent and forbidden read alike: names in other namespaces are nobody's business
        return f"{key} (or its annotation {ALLOWED_NAMESPACES_ANNOTATION} with {namespace})"

    async def _unready_workspaces(self, apply: WorkspaceTemplateApply, now: datetime) -> tuple[str, ...]:
        if not apply.spec.wait_for_workspaces:
            return ()
        own = apply.metadata.namespace or ""
        dependencies = [
            await self._dependency(key, own) for key in _keys(apply, apply.spec.wait_for_workspaces)
        ]
        unready = [lack for each in dependencies if (lack := lacking(each, now=now))]
        if unready and (circle := cycle(_key(apply), await self._graph(apply))):
            unready.append(f"a circle that never ends: {' waits for '.join(map(str, circle))}")
        return tuple(unready)

    async def _dependency(self, key: Key, namespace: str) -> Dependency:
        elsewhere = key.namespace != namespace and not self._cross_namespace
        apply = await self._resolve(key, namespace)
        if apply is not None:
            return Dependency(key=key, apply=apply)
        for flavour in FLAVOURS:
            found = await self.workspace_of_name(flavour, key.namespace, key.name)
            if found is not None and self._serves_workspace(found.workspace, namespace):
                return Dependency(key=key, workspace=found.workspace)
        return Dependency(key=key, elsewhere=elsewhere)

    async def _resolve(self, key: Key, namespace: str) -> WorkspaceTemplateApply | None:
        """Return the apply that `key` means to those of `namespace`: by its own name, else by its Workspace's."""
        apply = await self._client.get(APPLY, *key)
        if apply is not None:
            return apply if self._serves(apply.metadata, namespace) else None
        makers = await self._client.list(APPLY, index=(WORKSPACE_INDEX, key.name))
        return next((maker for maker in makers if self._serves(maker.metadata, namespace)), None)

    def _serves(self, target: ObjectMeta, namespace: str) -> bool:
        return self._cross_namespace or target.namespace == namespace or allows(target.annotations, namespace)

    def _serves_workspace(self, workspace: Workspace, namespace: str) -> bool:
        """Return whether those of `namespace` may look at a Workspace that is none of an apply they may use."""
        metadata = workspace.metadata
        if metadata.namespace is not None:
            return self._serves(metadata, namespace)
        # a cluster-scoped one is everybody's, unless an apply made it
        maker = metadata.annotations.get(names.WORKSPACE_APPLY_ANNOTATION)
        return self._cross_namespace or maker is None or maker.startswith(f"{namespace}/")

    async def _graph(self, start: WorkspaceTemplateApply) -> Graph:
        graph: dict[Key, tuple[Key, ...]] = {}
        ahead = [start]
        while ahead:
            apply = ahead.pop()
            own = apply.metadata.namespace or ""
            found = [await self._resolve(key, own) for key in _keys(apply, apply.spec.wait_for_workspaces)]
            following = [dependency for dependency in found if dependency is not None]
            graph[_key(apply)] = tuple(map(_key, following))
            ahead += [dependency for dependency in following if _key(dependency) not in graph]
        return graph


def _secrets_of(workspace: Workspace) -> set[str]:
    return secrets_read(to_manifest(workspace.spec), workspace.metadata.namespace or "")


def _key(apply: WorkspaceTemplateApply) -> Key:
    return Key(apply.metadata.namespace or "", apply.metadata.name)


def _keys(apply: WorkspaceTemplateApply, references: Iterable[ObjectReference]) -> list[Key]:
    namespace = apply.metadata.namespace or ""
    return [reference_key(reference, namespace) for reference in references]
