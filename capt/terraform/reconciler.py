"""The reconciler of Workspaces: carries out what :mod:`capt.terraform.steps` decides.

One pass observes at most once and applies at most once. The order of writes is the provider's: finalizer before
anything is made, connection secret before Ready, Ready before the finalizer goes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from capt.api import Workspace, WorkspaceStatus
from capt.runtime import (
    After,
    AlreadyExists,
    Backoff,
    Client,
    Clock,
    Done,
    ItemBackoff,
    Key,
    Kind,
    NamespaceTerminating,
    Recorder,
    Request,
    Result,
    finalizers,
    get_logger,
)
from capt.terraform import connection_secret, report
from capt.terraform.conduct import OWN, Conduct, mark
from capt.terraform.connection_secret import ForeignSecretError
from capt.terraform.executor import (
    Executor,
    InterruptedRunError,
    InvalidInputError,
    Observation,
    Output,
    TerraformError,
    WorkspaceInput,
)
from capt.terraform.kinds import SECRET
from capt.terraform.references import MissingReferenceError, resolve
from capt.terraform.steps import (
    CREATE_FAILED,
    CREATE_PENDING,
    CREATE_SUCCEEDED,
    EXTERNAL_NAME,
    FINALIZER,
    Step,
    grace_left,
    next_step,
)

POLL_SECONDS: Final = 600.0
"""How often an unchanged Workspace is planned again, to find drift; the provider's default."""

RETRY: Final = Backoff(base=1.0, cap=300.0)
"""Between two tries of a Workspace whose run failed, or whose reconcile did. Each may be a run of Terraform, and calls of
a cloud's rate-limited API: controller-runtime's 5 ms would be ten of them in as many seconds. The provider begins with a
second too, and goes no further than a minute."""

_EXPECTED = (TerraformError, InvalidInputError, MissingReferenceError, ForeignSecretError)
_Report = Callable[[Workspace, datetime, str], WorkspaceStatus]


class WorkspaceReconciler:
    """Keeps the infrastructure of Workspaces as they say.

    Args:
        kind: the flavour that is reconciled.
        client: the engine's client.
        executor: runs Terraform.
        recorder: receives what every run came to, under the provider's reasons.
        clock: time of conditions.
        conduct: how it behaves towards readers of the Workspace.
    """

    def __init__(
        self,
        *,
        kind: Kind[Workspace],
        client: Client,
        executor: Executor,
        recorder: Recorder,
        clock: Clock,
        conduct: Conduct = OWN,
    ) -> None:
        self._kind = kind
        self._conduct = conduct
        self._client = client
        self._executor = executor
        self._recorder = recorder
        self._clock = clock
        self._log = get_logger()
        # what an object was called by its uid, to clean up after one that vanished without our finalizer
        self._uids: dict[Key, str] = {}
        self._failures: ItemBackoff[Key] = ItemBackoff(RETRY)

    async def reconcile(self, request: Request) -> Result:
        """Bring one Workspace a step further; see :class:`capt.runtime.Reconciler`.

        A run that fails is no error of the engine: it is reported in ``Synced`` and tried again after a while.
        """
        workspace = await self._client.get(self._kind, request.namespace, request.name)
        uid = workspace.metadata.uid if workspace else ""
        former = self._uids.pop(request.key, uid)
        if former != uid:
            await self._forget(former)
        if workspace is None:
            self._failures.forget(request.key)
            return Done()
        self._uids[request.key] = uid
        try:
            result = await self._bring_further(workspace)
        except _EXPECTED as error:
            delay = self._failures.charge(request.key)
            self._log.warning("the run failed", error=str(error), retry_in=delay)
            return After(delay, "tries again")
        except InterruptedRunError:
            return After(0, "starts again")
        self._failures.forget(request.key)
        return result

    async def _bring_further(self, workspace: Workspace) -> Result:
        step = next_step(workspace, None)
        if step is not Step.OBSERVE:
            return await self._act_unobserved(workspace, step)
        try:
            asked = await resolve(self._client, workspace)
            observation = await self._executor.observe(asked, deleting=_is_deleting(workspace))
        except _EXPECTED as error:
            await self._fail(workspace, "observe", error, report.failed)
            raise
        grace = grace_left(workspace, observation, self._clock.now())
        if grace and self._conduct.marks_creation:
            self._recorder.normal(self._kind, workspace, "PendingExternalResource", report.UNCONFIRMED)
            return After(grace, "confirms that nothing stands")
        return await self._act(workspace, asked, observation, next_step(workspace, observation))

    async def _act_unobserved(self, workspace: Workspace, step: Step) -> Result:
        now = self._clock.now()
        match step:
            case Step.PAUSE:
                if await self._report(workspace, report.paused(workspace, now)) is not workspace:
                    self._recorder.normal(self._kind, workspace, *report.PAUSED)
            case Step.HALT:
                if await self._report(workspace, report.halted(workspace, now)) is not workspace:
                    self._recorder.warning(
                        self._kind, workspace, "CannotInitializeManagedResource", report.HALTED
                    )
            case Step.NAME:
                # the change comes back as an event, and with it the next pass
                await self._client.apply_difference(
                    self._kind,
                    workspace,
                    {"metadata": {"annotations": {EXTERNAL_NAME: workspace.metadata.name}}},
                )
            case Step.RELEASE:
                await finalizers.remove(self._client, self._kind, workspace, FINALIZER)
                self._log.info(
                    "released: the infrastructure and its state are kept", uid=workspace.metadata.uid
                )
            case _:
                await self._finish(workspace)
        return Done()

    async def _act(
        self, workspace: Workspace, asked: WorkspaceInput, observation: Observation, step: Step
    ) -> Result:
        match step:
            case Step.CREATE:
                return await self._create(workspace, asked)
            case Step.UPDATE:
                return await self._update(workspace, asked, observation)
            case Step.SETTLE:
                return await self._settle(workspace, observation)
            case Step.DESTROY:
                return await self._destroy(workspace, asked)
            case Step.FINISH:
                await self._finish(workspace)
            case Step.LOST | Step.MISSING:
                message = report.LOST if step is Step.LOST else report.MISSING
                await self._report(workspace, report.failed(workspace, self._clock.now(), message))
                return After(POLL_SECONDS, step.name.lower())
            case _:
                # the others' finalizers come off by a change of this object, which brings us back
                self._log.info("waits for other finalizers", finalizers=list(workspace.metadata.finalizers))
        return Done()

    async def _create(self, workspace: Workspace, asked: WorkspaceInput) -> Result:
        # in this order: a finalizer without a claim reads as lost state, a claim without a finalizer as nothing
        await self._executor.claim(asked)
        workspace = await finalizers.add(self._client, self._kind, workspace, FINALIZER)
        workspace = await self._report(workspace, report.creating(workspace, self._clock.now()))
        workspace = await self._mark(workspace, CREATE_PENDING)
        try:
            outputs = await self._executor.apply(asked)
            await self._publish(workspace, outputs)
        except _EXPECTED as error:
            workspace = await self._mark(workspace, CREATE_FAILED)
            await self._fail(workspace, "create", error, report.create_failed)
            raise
        workspace = await self._mark(workspace, CREATE_SUCCEEDED)
        await self._report(workspace, report.created(workspace, self._clock.now()))
        self._recorder.normal(self._kind, workspace, *report.CREATED)
        return After(0, "created")

    async def _mark(self, workspace: Workspace, name: str) -> Workspace:
        if not self._conduct.marks_creation:
            return workspace
        annotations = {name: mark(self._clock.now())}
        return await self._client.apply_difference(
            self._kind, workspace, {"metadata": {"annotations": annotations}}
        )

    async def _update(self, workspace: Workspace, asked: WorkspaceInput, observation: Observation) -> Result:
        workspace = await finalizers.add(self._client, self._kind, workspace, FINALIZER)
        try:
            outputs = await self._executor.apply(asked)
            await self._publish(workspace, outputs)
        except _EXPECTED as error:
            await self._fail(workspace, "update", error, report.failed)
            raise
        status = report.available(workspace, self._clock.now(), outputs, observation.checksum)
        await self._report(workspace, status)
        self._recorder.normal(self._kind, workspace, *report.UPDATED)
        return _poll(workspace)

    async def _settle(self, workspace: Workspace, observation: Observation) -> Result:
        if observation.exists:
            workspace = await finalizers.add(self._client, self._kind, workspace, FINALIZER)
        try:
            await self._publish(workspace, observation.outputs)
        except ForeignSecretError as error:
            await self._fail(workspace, "observe", error, report.failed)
            raise
        say = report.available if observation.up_to_date else report.unmanaged_change
        status = say(workspace, self._clock.now(), observation.outputs, observation.checksum)
        await self._report(workspace, status)
        return _poll(workspace)

    async def _destroy(self, workspace: Workspace, asked: WorkspaceInput) -> Result:
        try:
            await self._executor.destroy(asked)
        except _EXPECTED as error:
            await self._fail(workspace, "delete", error, report.delete_failed)
            raise
        await self._report(workspace, report.deleting(workspace, self._clock.now()))
        self._recorder.normal(self._kind, workspace, *report.DELETED)
        return After(0, "destroyed")

    async def _finish(self, workspace: Workspace) -> None:
        # the finalizer first: a crash in between leaves an empty directory, the other order a lost state
        await finalizers.remove(self._client, self._kind, workspace, FINALIZER)
        await self._forget(workspace.metadata.uid)

    async def _forget(self, uid: str) -> None:
        if not await self._executor.forget(uid):
            self._log.warning("the Workspace is gone, but its state lists resources: kept", uid=uid)

    async def _publish(self, workspace: Workspace, outputs: Mapping[str, Output]) -> None:
        """Bring the connection secret to what the outputs say; no request that changes nothing."""
        where = connection_secret.key(workspace)
        if where is None:
            return
        if not where.namespace:
            message = (
                "cannot create or update connection secret: spec.writeConnectionSecretToRef needs a namespace"
            )
            raise ForeignSecretError(message)
        secret = await self._client.get_live(SECRET, where.namespace, where.name)
        if secret is None:
            body = connection_secret.manifest(self._kind, workspace, where, outputs)
            try:
                await self._client.create(SECRET, body)
            except NamespaceTerminating as error:
                # that of the Secret; the Workspace itself stays, and another namespace may come under the name
                message = f"cannot create or update connection secret: {error.message}"
                raise ForeignSecretError(message) from error
            except AlreadyExists:
                secret = await self._client.get_live(SECRET, where.namespace, where.name)
        if secret is not None:
            connection_secret.check_ours(workspace, secret)
            wanted = connection_secret.desired(self._kind, workspace, secret, outputs)
            await self._client.apply_difference(SECRET, secret, wanted)

    async def _fail(
        self, workspace: Workspace, operation: report.Operation, error: Exception, say: _Report
    ) -> None:
        message = report.error_message(operation, error)
        await self._report(workspace, say(workspace, self._clock.now(), message))
        self._recorder.warning(
            self._kind, workspace, _EVENTS[report.operation_of(operation, error)], str(error)
        )

    async def _report(self, workspace: Workspace, status: WorkspaceStatus) -> Workspace:
        return await self._client.patch_status(self._kind, workspace, self._conduct.aged(status))


_EVENTS: Final[Mapping[report.Operation, str]] = {
    "connect": "CannotConnectToProvider",
    "observe": "CannotObserveExternalResource",
    "create": "CannotCreateExternalResource",
    "update": "CannotUpdateExternalResource",
    "delete": "CannotDeleteExternalResource",
}


def _is_deleting(workspace: Workspace) -> bool:
    return workspace.metadata.deletion_timestamp is not None


def _poll(workspace: Workspace) -> After:
    """Return the wait for the next look, spread by uid over a minute around the interval so that restarts do not bunch."""
    spread = int.from_bytes(hashlib.sha256(workspace.metadata.uid.encode()).digest()[:4]) / 2**32
    return After(POLL_SECONDS + 60.0 * (spread - 0.5), "looks for drift")
