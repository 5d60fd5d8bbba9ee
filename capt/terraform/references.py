"""From a Workspace to the input of a run: reads what its spec refers to.

Secrets and ConfigMaps are read live, never through a cache: a manager must not keep every Secret of a cluster in its
memory in order to read a few.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from capt.api import EnvVar, KeyReference, VarFile, Workspace
from capt.runtime import Client
from capt.terraform.executor import InvalidInputError, VariableFile, WorkspaceInput
from capt.terraform.kinds import CONFIG_MAP, SECRET
from capt.terraform.steps import EXTERNAL_NAME


class MissingReferenceError(Exception):
    """A Secret or ConfigMap that the Workspace refers to, or a key of it, is not there."""


async def resolve(client: Client, workspace: Workspace) -> WorkspaceInput:
    """Return the input of a run.

    While the Workspace is being deleted, what is missing is left out: a Secret that went first must not keep the
    infrastructure alive, and the executor knows the variables of the last apply.

    Raises:
        MissingReferenceError: a referenced Secret, ConfigMap or key is not there; nothing is deleted.
        InvalidInputError: a reference names no object.
    """
    spec = workspace.spec.for_provider
    metadata = workspace.metadata
    lenient = metadata.deletion_timestamp is not None
    own_namespace = metadata.namespace or ""

    async def read(what: str, config_map: KeyReference | None, secret: KeyReference | None) -> str | None:
        try:
            return await _read(client, what, config_map, secret, own_namespace)
        except MissingReferenceError:
            if lenient:
                return None
            raise

    environment = {
        variable.name: value
        for variable in spec.env
        if (value := await _environment_value(variable, read)) is not None
    }
    variable_files = [
        VariableFile(format=_format(file.format), content=content)
        for file in spec.var_files
        if (content := await _file_content(file, read)) is not None
    ]
    return WorkspaceInput(
        uid=metadata.uid,
        name=f"{own_namespace}/{metadata.name}" if own_namespace else metadata.name,
        external_name=metadata.annotations.get(EXTERNAL_NAME) or metadata.name,
        source=spec.source,
        module=spec.module,
        inline_format=_format(spec.inline_format or "HCL"),
        entrypoint=spec.entrypoint,
        variables=tuple((variable.key, variable.value) for variable in spec.vars),
        varmap=spec.varmap,
        variable_files=tuple(variable_files),
        environment=environment,
        init_args=spec.init_args,
        plan_args=spec.plan_args,
        apply_args=spec.apply_args,
        destroy_args=spec.destroy_args,
        log_output=bool(spec.enable_terraform_cli_logging),
    )


_Read = Callable[[str, KeyReference | None, KeyReference | None], Awaitable[str | None]]


async def _environment_value(variable: EnvVar, read: _Read) -> str | None:
    if variable.value:
        return variable.value
    if variable.config_map_key_ref is None and variable.secret_key_ref is None:
        return variable.value
    return await read(f"env {variable.name}", variable.config_map_key_ref, variable.secret_key_ref)


async def _file_content(file: VarFile, read: _Read) -> str | None:
    if file.source == "ConfigMapKey":
        return await read("varFiles", file.config_map_key_ref, None)
    return await read("varFiles", None, file.secret_key_ref)


async def _read(
    client: Client,
    what: str,
    config_map: KeyReference | None,
    secret: KeyReference | None,
    own_namespace: str,
) -> str:
    reference = config_map or secret
    if reference is None:
        message = f"spec.forProvider.{what} names no ConfigMap or Secret key"
        raise InvalidInputError(message)
    # in a namespaced Workspace a reference cannot leave the namespace, whatever it says
    namespace = own_namespace or reference.namespace
    if not namespace:
        message = f"spec.forProvider.{what}: the reference to {reference.name} needs a namespace"
        raise InvalidInputError(message)
    if config_map is not None:
        kind = "ConfigMap"
        held = await client.get_live(CONFIG_MAP, namespace, reference.name)
        value = None if held is None else held.data.get(reference.key)
    else:
        kind = "Secret"
        stored = await client.get_live(SECRET, namespace, reference.name)
        raw = None if stored is None else stored.data.get(reference.key)
        value = None if raw is None else _text(raw, f"{what}: Secret {namespace}/{reference.name}")
    if value is None:
        message = f"{what}: {kind} {namespace}/{reference.name} has no key {reference.key}, or is not there"
        raise MissingReferenceError(message)
    return value


def _text(raw: bytes, where: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        message = f"{where} holds no text: {error}"
        raise InvalidInputError(message) from error


def _format(text: str) -> Literal["HCL", "JSON"]:
    return "JSON" if text == "JSON" else "HCL"
