"""Brings the Secrets of a cluster up to date.

Secrets are read live, by name and in the control plane's own namespace only. They are in no cache and are not
watched, so one that the provider renews is looked at again after a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from capt.api import APIEndpoint, CAPTControlPlane, WorkspaceTemplateApply
from capt.controllers.control_plane.kubeconfig import Kubeconfig, NoKubeconfig, contract_kubeconfig
from capt.controllers.control_plane.outputs import (
    CLUSTER_NAME,
    Outputs,
    certificate_authority,
    read_outputs,
)
from capt.controllers.control_plane.secrets import (
    CreateSecret,
    ForeignSecret,
    KeepSecret,
    ReplaceSecret,
    UpdateSecret,
    Wanted,
    plan_secret,
    wanted_secrets,
)
from capt.controllers.control_plane.status import Line
from capt.controllers.kinds import SECRET
from capt.controllers.manifest import to_manifest
from capt.runtime.client import Client

RENEWAL_LOOK: Final = 60.0
"""Seconds between looks at a connection Secret with a token: EKS's live for 15 minutes."""

SECRET_RETRY: Final = 10.0
"""Seconds between looks for a connection Secret that is not there yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of it.

    Attributes:
        line: What is to be said.
        recheck: Seconds after which the source is to be looked at again; None when it does not change by itself.
    """

    line: Line
    recheck: float | None = None


class Credentials:
    """Reads connection Secrets and writes the Secrets of clusters."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def outputs(self, apply: WorkspaceTemplateApply, namespace: str) -> Outputs:
        """Return the outputs of an apply, those in its connection Secret included.

        Args:
            apply: The apply.
            namespace: That of the control plane; a Secret elsewhere is not read.

        Raises:
            ApiError: The Secret could not be read.
        """
        reference = apply.spec.write_connection_secret_to_ref
        secret = None
        if reference is not None and (reference.namespace or namespace) == namespace:
            secret = await self._client.get_live(SECRET, namespace, reference.name)
        shown: Mapping[str, Any] = to_manifest(apply.status).get("outputs", {})
        return read_outputs(shown, secret)

    async def reconcile(
        self,
        control_plane: CAPTControlPlane,
        cluster: str,
        endpoint: APIEndpoint,
        outputs: Outputs,
        kubeconfig_outputs: Outputs | None,
        *,
        region: str | None,
    ) -> Result:
        """Write the Secrets of a cluster as its outputs have them.

        Args:
            control_plane: Their owner.
            cluster: Name of the Cluster.
            endpoint: Where its API server is reached.
            outputs: Outputs of the control plane.
            kubeconfig_outputs: Outputs of the template for the kubeconfig; None when there is no such template.
            region: AWS region, if it is known.

        Raises:
            ApiError: A Secret could not be read or written.
        """
        found = contract_kubeconfig(cluster, endpoint, kubeconfig_outputs or outputs)
        if kubeconfig_outputs is not None and isinstance(found, NoKubeconfig):
            found = contract_kubeconfig(cluster, endpoint, outputs)
        wanted = wanted_secrets(
            cluster,
            endpoint,
            found if isinstance(found, Kubeconfig) else None,
            certificate_authority(outputs),
            eks_name=outputs.get(CLUSTER_NAME) or cluster,
            region=region,
        )
        problems = [
            problem for each in wanted if (problem := await self._write(each, control_plane, cluster))
        ]
        if problems:
            line = Line(status="False", reason="SecretReconciliationFailed", message="; ".join(problems))
            return Result(line=line, recheck=RENEWAL_LOOK)
        if isinstance(found, NoKubeconfig):
            line = Line(status="False", reason="KubeconfigGenerationFailed", message=found.problem)
            return Result(line=line, recheck=RENEWAL_LOOK)
        names = ", ".join(each.name for each in wanted)
        line = Line(status="True", reason="SecretsWritten", message=f"Secrets {names} are up to date")
        return Result(line=line, recheck=RENEWAL_LOOK if found.expires else None)

    async def _write(self, wanted: Wanted, control_plane: CAPTControlPlane, cluster: str) -> str:
        """Bring one Secret up to date, and return what stands in the way."""
        namespace = control_plane.metadata.namespace or ""
        found = await self._client.get_live(SECRET, namespace, wanted.name)
        match plan_secret(wanted, found, control_plane, cluster):
            case CreateSecret(body=body):
                await self._client.create(SECRET, body)
            case UpdateSecret(patch=patch) if found is not None:
                await self._client.patch(
                    SECRET,
                    namespace,
                    wanted.name,
                    patch,
                    # owners are a list that others share
                    resource_version=found.metadata.resource_version,
                    uid=found.metadata.uid,
                )
            case ReplaceSecret(body=body) if found is not None:
                await self._client.delete(SECRET, namespace, wanted.name, uid=found.metadata.uid)
                await self._client.create(SECRET, body)
            case ForeignSecret(problem=problem):
                return problem
            case KeepSecret() | _:
                pass
        return ""
