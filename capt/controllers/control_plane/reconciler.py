"""Makes the control plane of a Cluster, and carries back where it answers and how to log in.

The reconciler acts and reports; what is to be done is decided by its neighbours: `plan` for the
WorkspaceTemplateApplies, `phases` for the phase that follows from its `findings`, `secrets` for the Secrets, `status` and
`events` for what is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final, TypeVar

from capt.api import APIEndpoint, CAPTControlPlane, CAPTControlPlaneStatus
from capt.controllers import names, ownership
from capt.controllers.child_apply import Keep, Update
from capt.controllers.control_plane.applies import Applies
from capt.controllers.control_plane.credentials import SECRET_RETRY, Credentials
from capt.controllers.control_plane.credentials import Result as SecretsResult
from capt.controllers.control_plane.deletion import delete_applies, delete_machines
from capt.controllers.control_plane.endpoint import RefusedEndpoint, parse_endpoint
from capt.controllers.control_plane.events import EventOf, events
from capt.controllers.control_plane.findings import REFUSALS, Outcome, Seen, Standing, observation
from capt.controllers.control_plane.optional_templates import bring_optional
from capt.controllers.control_plane.outputs import ENDPOINT, Outputs
from capt.controllers.control_plane.phases import Obstacle, Phase, Verdict, transition
from capt.controllers.control_plane.plan import (
    control_plane_wish,
    kubeconfig_wish,
    plan_apply,
    progress,
)
from capt.controllers.control_plane.status import (
    Facts,
    Line,
    report,
    report_deletion,
    report_paused,
    report_waiting_for_cluster,
)
from capt.controllers.control_plane.surroundings import network_of
from capt.controllers.control_plane.variables import control_plane_variables, region_of
from capt.controllers.kinds import APPLY, CAPT_CONTROL_PLANE
from capt.controllers.manifest import to_manifest
from capt.controllers.parent_cluster import News, Parent, find_parent, tell, write
from capt.controllers.pausing import is_leaving, is_paused
from capt.controllers.second_look import wait_for
from capt.controllers.workspace import readable
from capt.runtime import ApiError, Conflict, finalizers
from capt.runtime.client import Client
from capt.runtime.clock import Clock
from capt.runtime.recorder import Recorder
from capt.runtime.result import After, Done, Request, Result

_TRIES: Final = 5

_T = TypeVar("_T")


class CaptControlPlaneReconciler:
    """Reconciles CAPTControlPlanes.

    Args:
        client: Reads and writes.
        recorder: Tells events.
        clock: The time.
    """

    def __init__(self, client: Client, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._credentials = Credentials(client)
        self._applies = Applies(client)

    async def reconcile(self, request: Request) -> Result:
        """Bring one control plane a step further, and say how far it is.

        Raises:
            ApiError: A read or a write failed; what could be told has been.
        """
        control_plane = await self._client.get(CAPT_CONTROL_PLANE, request.namespace, request.name)
        if control_plane is None or is_leaving(control_plane):
            return Done()
        parent = await find_parent(self._client, control_plane)
        if is_paused(control_plane, parent):
            status = report_paused(control_plane, self._clock.now())
            await self._client.patch_status(CAPT_CONTROL_PLANE, control_plane, status)
            return Done()
        if control_plane.metadata.deletion_timestamp is not None:
            return await self.reconcile_delete(control_plane, parent)
        if parent is None:
            status = report_waiting_for_cluster(control_plane, self._clock.now())
            await self._client.patch_status(CAPT_CONTROL_PLANE, control_plane, status)
            return Done()
        control_plane = await finalizers.add(
            self._client, CAPT_CONTROL_PLANE, control_plane, names.CONTROL_PLANE_FINALIZER
        )
        network = await network_of(self._client, parent)
        seen = Seen(
            control_plane=control_plane,
            parent=parent,
            network=network,
            inputs=control_plane_variables(control_plane, parent.name, network.capt_cluster),
        )
        standing = await self.reconcile_workspace(seen)
        outcome = Outcome(control_plane=control_plane)
        # a token is renewed while Terraform works, too
        if standing.done or control_plane.status.initialized:
            outcome = await self.handle_ready_status(seen, standing)
        return await self._tell(replace(seen, control_plane=outcome.control_plane), standing, outcome)

    async def reconcile_workspace(self, seen: Seen) -> Standing:
        """Make or change the WorkspaceTemplateApply of the control plane, and return how far it is.

        Without its VPC, nothing is made, and nothing that stands is changed.
        """
        wish = control_plane_wish(seen.control_plane, seen.inputs)
        found = await self._client.get(APPLY, seen.namespace, wish.name)
        if found is None and seen.network.lacks:
            return Standing()
        plan = plan_apply(wish, found, seen.control_plane)
        held = ""
        if isinstance(plan, Update) and seen.network.lacks:
            plan, held = Keep(), seen.network.lacks
        try:
            apply, plan = await self._applies.carry_out(wish, seen.control_plane, found, plan)
        except REFUSALS as error:
            words = f"the API server refuses the WorkspaceTemplateApply: {readable(error.message)}"
            refused = Obstacle(reason="ApplyRefused", message=words, needs_person=True)
            return Standing(apply=found, obstacle=refused, error=error)
        if isinstance(plan, Obstacle):
            return Standing(apply=apply, obstacle=plan)
        return Standing(apply=apply, progress=progress(apply, held) if apply is not None else None)

    async def handle_ready_status(self, seen: Seen, standing: Standing) -> Outcome:
        """Carry the endpoint to the control plane and to its Cluster, and write the Secrets (seed 004).

        Both places are compared with what Terraform put out at every reconcile, so an update that was interrupted
        between them is completed by the next one.
        """
        control_plane = seen.control_plane
        if standing.apply is None:
            return Outcome(control_plane=control_plane)
        try:
            outputs = await self._credentials.outputs(standing.apply, seen.namespace)
        except ApiError as error:
            problem = f"the outputs cannot be read: {error.message}"
            known = control_plane.spec.control_plane_endpoint
            return Outcome(control_plane=control_plane, endpoint=known, problem=problem, error=error)
        endpoint = _endpoint(outputs)
        outcome = Outcome(control_plane=control_plane, endpoint=endpoint, has_secret=outputs.has_secret)
        if isinstance(endpoint, RefusedEndpoint):
            return outcome
        try:
            control_plane = await self._write_endpoint(seen, endpoint)
        except ApiError as error:
            problem = f"the endpoint {endpoint} cannot be written: {error.message}"
            return replace(outcome, problem=problem, error=error)
        outcome = replace(outcome, control_plane=control_plane)
        if not outputs.has_secret:
            return outcome
        try:
            secrets = await self.reconcile_secrets(
                replace(seen, control_plane=control_plane), standing, endpoint, outputs
            )
        except ApiError as error:
            line = Line(status="False", reason="SecretReconciliationFailed", message=error.message)
            return replace(outcome, secrets=SecretsResult(line=line), error=error)
        return replace(outcome, secrets=secrets)

    async def reconcile_secrets(
        self, seen: Seen, standing: Standing, endpoint: APIEndpoint, outputs: Outputs
    ) -> SecretsResult:
        """Write the kubeconfigs and the certificate authority of the Cluster.

        Raises:
            ApiError: A Secret could not be read or written.
        """
        control_plane = seen.control_plane
        kubeconfig_outputs = None
        wish = kubeconfig_wish(control_plane, seen.inputs, standing.outputs)
        if wish is not None:
            problem = await self._applies.bring(wish, seen.control_plane)
            apply = await self._client.get(APPLY, seen.namespace, wish.name)
            if problem or apply is None:
                message = f"the template for the kubeconfig: {problem or 'it is about to be applied'}"
                line = Line(status="False", reason="WaitingForKubeconfig", message=message)
                return SecretsResult(line=line)
            kubeconfig_outputs = await self._credentials.outputs(apply, seen.namespace)
        return await self._credentials.reconcile(
            control_plane,
            seen.parent.name,
            endpoint,
            outputs,
            kubeconfig_outputs,
            region=region_of(control_plane, seen.network.capt_cluster),
        )

    async def set_failed_status(self, seen: Seen, verdict: Verdict, status: CAPTControlPlaneStatus) -> None:
        """Tell that a control plane failed: in its status, by an event, and, when it is terminal, to its Cluster."""
        await self._client.patch_status(CAPT_CONTROL_PLANE, seen.control_plane, status)
        self._record(seen.control_plane, events(seen.control_plane.status, status, verdict, ""))
        await self._tell_cluster(seen, status)

    async def reconcile_delete(self, control_plane: CAPTControlPlane, parent: Parent | None) -> Result:
        """Take the next step of a deletion: machines, then what stands on the control plane, then itself."""
        if names.CONTROL_PLANE_FINALIZER not in control_plane.metadata.finalizers:
            return Done()
        if not ownership.is_orphaning(control_plane):
            waiting = await delete_machines(self._client, control_plane, parent)
            waiting = waiting or await delete_applies(self._client, control_plane)
            if waiting is not None:
                status = report_deletion(control_plane, waiting.reason, waiting.message, self._clock.now())
                await self._client.patch_status(CAPT_CONTROL_PLANE, control_plane, status)
                if control_plane.status.phase != Phase.DELETING:
                    self._recorder.normal(CAPT_CONTROL_PLANE, control_plane, "Deleting", waiting.message)
                return wait_for(APPLY.resource.kind, cached=waiting.cached)
        await finalizers.remove(
            self._client, CAPT_CONTROL_PLANE, control_plane, names.CONTROL_PLANE_FINALIZER
        )
        return Done()

    async def _write_endpoint(self, seen: Seen, endpoint: APIEndpoint) -> CAPTControlPlane:
        control_plane = seen.control_plane
        if control_plane.spec.control_plane_endpoint != endpoint:
            desired = {"spec": {"controlPlaneEndpoint": to_manifest(endpoint)}}
            control_plane = await _past_conflicts(
                lambda: self._client.apply_difference(CAPT_CONTROL_PLANE, control_plane, desired)
            )
            message = f"the API server is reached at {endpoint}"
            self._recorder.normal(CAPT_CONTROL_PLANE, control_plane, "EndpointUpdated", message)
        if not seen.network.provides_endpoint:
            news = News(role="controlPlane", ready=False, endpoint=endpoint)
            patches = tell(seen.parent, control_plane, news)
            await _past_conflicts(lambda: write(self._client, seen.parent, patches))
        return control_plane

    async def _tell(self, seen: Seen, standing: Standing, outcome: Outcome) -> Result:
        control_plane, now = seen.control_plane, self._clock.now()
        endpoint = outcome.endpoint if isinstance(outcome.endpoint, APIEndpoint) else None
        verdict = transition(observation(seen, standing, outcome, now))
        # what stands on a control plane is made when there is one
        outputs = standing.outputs if verdict.phase is Phase.READY else None
        facts = Facts(
            apply=standing.apply,
            done=standing.done,
            endpoint=endpoint,
            secrets=outcome.secrets.line if outcome.secrets is not None else None,
            optional=await bring_optional(self._applies, control_plane, seen.inputs, outputs),
            now=now,
        )
        status = report(control_plane, verdict, facts)
        if verdict.phase is Phase.FAILED:
            await self.set_failed_status(seen, verdict, status)
        else:
            await self._client.patch_status(CAPT_CONTROL_PLANE, control_plane, status)
            self._record(control_plane, events(control_plane.status, status, verdict, outcome.problem))
            await self._tell_cluster(seen, status)
        if (error := standing.error or outcome.error) is not None:
            raise error
        rechecks = [verdict.recheck, outcome.secrets.recheck if outcome.secrets is not None else None]
        if standing.done and not outcome.has_secret:
            rechecks.append(SECRET_RETRY)
        recheck = min((each for each in rechecks if each is not None), default=None)
        return Done() if recheck is None else After(recheck, "control plane")

    async def _tell_cluster(self, seen: Seen, status: CAPTControlPlaneStatus) -> None:
        news = News(
            role="controlPlane",
            ready=status.ready and status.initialized,
            failure_reason=status.failure_reason,
            failure_message=status.failure_message,
        )
        patches = tell(seen.parent, seen.control_plane, news)
        await _past_conflicts(lambda: write(self._client, seen.parent, patches))

    def _record(self, control_plane: CAPTControlPlane, told: Iterable[EventOf]) -> None:
        for kind, reason, message in told:
            record = self._recorder.normal if kind == "Normal" else self._recorder.warning
            record(CAPT_CONTROL_PLANE, control_plane, reason, message)


async def _past_conflicts(attempt: Callable[[], Awaitable[_T]]) -> _T:
    """Try again at once after a conflict: a patch of fields that are ours alone is right on any version (seed 004)."""
    for _ in range(_TRIES - 1):
        try:
            return await attempt()
        except Conflict:
            continue
    return await attempt()


def _endpoint(outputs: Outputs) -> APIEndpoint | RefusedEndpoint:
    text = outputs.get(ENDPOINT)
    if not text:
        return RefusedEndpoint(problem=f"output {ENDPOINT} is missing")
    return parse_endpoint(text)
