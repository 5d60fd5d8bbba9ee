"""What one reconcile of a control plane finds, step by step, and how that is put before the phase function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from capt.api import APIEndpoint, CAPTControlPlane, CAPTControlPlaneStatus, WorkspaceTemplateApply
from capt.controllers.control_plane.credentials import Result as SecretsResult
from capt.controllers.control_plane.endpoint import RefusedEndpoint
from capt.controllers.control_plane.phases import Observation, Obstacle, Phase, Progress, Timeouts, Work
from capt.controllers.control_plane.surroundings import Network
from capt.controllers.control_plane.variables import Variables
from capt.controllers.manifest import to_manifest
from capt.controllers.parent_cluster import Parent
from capt.runtime import ApiError, BadRequest, Forbidden, Invalid
from capt.runtime.conditions import find_condition

REFUSALS: Final = (Invalid, BadRequest, Forbidden)
"""Errors by which the API server says that the same write will not be accepted later either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one reconcile looks at.

    Attributes:
        control_plane: The control plane.
        parent: Its Cluster.
        network: Its VPC.
        inputs: Terraform variables.
    """

    control_plane: CAPTControlPlane
    parent: Parent
    network: Network
    inputs: Variables

    @property
    def namespace(self) -> str:
        """Namespace of the control plane."""
        return self.control_plane.metadata.namespace or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What came of the WorkspaceTemplateApply of the control plane.

    Attributes:
        apply: The apply, if there is one.
        obstacle: What keeps it from being made or changed.
        progress: How far Terraform is.
        error: What is to be raised when everything has been told.
    """

    apply: WorkspaceTemplateApply | None = None
    obstacle: Obstacle | None = None
    progress: Progress | None = None
    error: ApiError | None = None

    @property
    def done(self) -> bool:
        """Whether Terraform has applied what the spec asks for."""
        return self.progress is not None and self.progress.work is Work.DONE

    @property
    def outputs(self) -> dict[str, Any]:
        """Terraform outputs that are not sensitive."""
        return to_manifest(self.apply.status).get("outputs", {}) if self.apply is not None else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of endpoint and Secrets.

    Attributes:
        control_plane: The control plane, with its endpoint.
        endpoint: What the outputs say.
        has_secret: Whether the connection Secret is there.
        secrets: What came of the Secrets; None when nothing was done about them.
        problem: Why the endpoint could not be written.
        error: What is to be raised when everything has been told.
    """

    control_plane: CAPTControlPlane
    endpoint: APIEndpoint | RefusedEndpoint | None = None
    has_secret: bool = False
    secrets: SecretsResult | None = None
    problem: str = ""
    error: ApiError | None = None


def observation(seen: Seen, standing: Standing, outcome: Outcome, now: datetime) -> Observation:
    """Return what the phase follows from."""
    status, progress = seen.control_plane.status, standing.progress
    if progress is not None:
        progress = replace(progress, has_secret=outcome.has_secret, endpoint=outcome.endpoint)
    return Observation(
        now=now,
        was=_phase(status),
        initialized=status.initialized,
        unready_since=_unready_since(status) or now,
        obstacle=standing.obstacle,
        waiting_for_vpc=seen.network.lacks if standing.apply is None else "",
        progress=progress,
        update_error=outcome.problem,
        update_refused=isinstance(outcome.error, REFUSALS),
        timeouts=_timeouts(seen.control_plane),
    )


def _phase(status: CAPTControlPlaneStatus) -> Phase | None:
    return Phase(status.phase) if status.phase in set(Phase) else None


def _unready_since(status: CAPTControlPlaneStatus) -> datetime | None:
    ready = find_condition(status.conditions, "Ready")
    return ready.last_transition_time if ready is not None and ready.status == "False" else None


def _timeouts(control_plane: CAPTControlPlane) -> Timeouts:
    config = control_plane.spec.control_plane_config
    if config is None or config.timeouts is None:
        return Timeouts()
    minutes = config.timeouts
    return Timeouts(
        control_plane=timedelta(minutes=minutes.control_plane_timeout),
        vpc=timedelta(minutes=minutes.vpc_ready_timeout),
        secret=timedelta(minutes=minutes.secret_timeout),
    )
