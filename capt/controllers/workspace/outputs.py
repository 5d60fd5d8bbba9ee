"""Terraform's outputs, for other controllers: one by name, wherever it is.

What is not sensitive and not large stands in the status of the WorkspaceTemplateApply, with its JSON type. Everything
is in the connection Secret, strings as they are and any other value as JSON text. The Secret is read live, when asked
for, and only if the apply's own Workspace controls it: an apply may name any Secret, and must not get what others
keep there.
"""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue

from capt.api import WorkspaceTemplateApply
from capt.controllers.kinds import SECRET
from capt.runtime.client import Client

OUTPUT_LIMIT: Final = 256 * 1024
"""Most bytes of an output that is read from a Secret."""


class OutputTooLargeError(Exception):
    """An output is larger than anybody here should carry around; the text names it."""


class OutputReader:
    """Reads outputs of applies.

    Args:
        client: Reads Secrets live.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, apply: WorkspaceTemplateApply, name: str) -> JsonValue:
        """Return an output of `apply`, sensitive or not; None while there is none of that name.

        From the status it has its type; from the Secret it is text, and what its text means (JSON, base64, a
        certificate) is for the caller to know.

        Raises:
            OutputTooLargeError: It has more than `OUTPUT_LIMIT` bytes.
            ApiError: The Secret cannot be read.
        """
        value = output_of(apply, name)
        return value if value is not None else await self._from_secret(apply, name)

    async def _from_secret(self, apply: WorkspaceTemplateApply, name: str) -> str | None:
        status = apply.status
        where = status.connection_secret_ref
        if where is None:
            return None
        secret = await self._client.get_live(SECRET, where.namespace or "", where.name)
        owner = secret.metadata.controller if secret is not None else None
        if secret is None or owner is None:
            return None
        ours = (owner.kind, owner.api_version.partition("/")[0], owner.name)
        if ours != ("Workspace", status.workspace_group, status.workspace_name):
            return None
        raw = secret.data.get(name)
        if raw is None:
            return None
        if len(raw) > OUTPUT_LIMIT:
            message = f"output {name!r} has {len(raw)} bytes, more than {OUTPUT_LIMIT}"
            raise OutputTooLargeError(message)
        return raw.decode(errors="replace")


def output_of(apply: WorkspaceTemplateApply, name: str) -> JsonValue:
    """Return an output from the status of `apply`, where none is sensitive; None if it is not there."""
    return apply.status.outputs.get(name)


def output_text(value: JsonValue) -> str | None:
    """Return an output that is text; None for any other, and for an empty one."""
    return value if isinstance(value, str) and value else None
