"""The executor that runs the real command, Terraform or OpenTofu.

Per Workspace, in its own directory: ``init`` when module files changed, ``plan -detailed-exitcode``, ``apply`` of
exactly that plan, ``output -json``, ``destroy``. Without a backend of the module's own the state is a local file in
that directory.

* Local state is locked by the operating system, so a lock dies with its holder; the ``.terraform.tfstate.lock.info``
  that a killed process leaves behind is a note for people and stops nobody. A child that outlived a killed engine
  still holds the lock, and the next apply fails with Terraform's own words until it ends.
* When the manager stops, commands get a while to end by themselves, then SIGTERM, early enough to stop in order
  within the manager's own time. An apply that was interrupted leaves its state written, and the next start goes on
  from there.
* Deletion does not depend on a plan, nor on the module as it is written now: when that no longer initialises or
  destroys, what was last applied is used to destroy what it made.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry, Histogram

from capt.runtime import Clock, get_logger
from capt.runtime.clock import Timer
from capt.runtime.race import unless
from capt.terraform import files
from capt.terraform.environment import command_environment
from capt.terraform.executor import (
    InvalidInputError,
    Observation,
    Output,
    Stage,
    TerraformError,
    WorkspaceInput,
)
from capt.terraform.process import Completed, run
from capt.terraform.work_directory import WorkDirectory

_T = TypeVar("_T")

DRAIN_SECONDS: Final = 15.0
"""Seconds that running commands get to end by themselves when the manager stops; half of what it gives reconciles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CliOptions:
    """How commands are run.

    Attributes:
        limit: most seconds that one command may take; then it is stopped like a cancelled one. An EKS control plane
            takes 15 minutes, a node group behind it 10 more.
        grace: seconds between SIGTERM and SIGKILL; less than the manager's own time for an orderly stop.
    """

    limit: float = 3600.0
    grace: float = 25.0


class Gate:
    """What all executors of one engine share.

    Args:
        parallelism: most commands at once.
        clock: measures :data:`DRAIN_SECONDS`, and how long commands take.
        registry: receives ``capt_terraform_command_seconds``.
    """

    def __init__(self, parallelism: int, *, clock: Clock, registry: CollectorRegistry) -> None:
        self._clock = clock
        self._closing: Timer | None = None
        self._seconds = Histogram(
            "capt_terraform_command_seconds",
            "How long Terraform commands took, by command and result (success or error).",
            ("command", "result"),
            buckets=(0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600),
            registry=registry,
        )
        self.commands = asyncio.Semaphore(parallelism)
        self.closed = asyncio.Event()
        # the plugin cache is not safe for concurrent init: one writes what the other executes ("text file busy")
        self.init = asyncio.Lock()

    @contextmanager
    def timed(self, command: str) -> Iterator[None]:
        """Measure a command; one that raises counts as an error."""
        started = self._clock.monotonic()
        result = "error"
        try:
            yield
            result = "success"
        finally:
            self._seconds.labels(command, result).observe(self._clock.monotonic() - started)

    def guard(self) -> Awaitable[None]:
        """Open the gate; return what to await until cancelled, which says that the manager stops, or leads no more.

        The gate closes in time after that.
        """
        if self._closing is not None:
            self._closing.cancel()
        self.closed.clear()
        cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        cancelled.add_done_callback(self._close_later)
        return cancelled

    def _close_later(self, _: object) -> None:
        self._closing = self._clock.call_later(DRAIN_SECONDS, self.closed.set)


def find_cli(*names: str) -> Path | None:
    """Return the first of the commands ``names`` that is on PATH; by default Terraform, then OpenTofu."""
    for name in names or ("terraform", "tofu"):
        found = shutil.which(name)
        if found:
            return Path(found)
    return None


class CliExecutor:
    """Runs the Terraform or OpenTofu command.

    Args:
        cli: the command.
        root: directory of the work directories; made when missing.
        gate: limits that are shared with other executors.
        options: how commands are run.
    """

    def __init__(self, *, cli: Path, root: Path, gate: Gate, options: CliOptions | None = None) -> None:
        self._cli = cli
        self._root = root
        self._gate = gate
        self._options = options or CliOptions()
        self._plugin_cache = root / ".plugin-cache"
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._plugin_cache.mkdir(mode=0o700, exist_ok=True)
        self._log = get_logger()

    async def observe(self, workspace: WorkspaceInput, *, deleting: bool = False) -> Observation:
        """See :meth:`capt.terraform.executor.Executor.observe`."""
        directory = self._directory(workspace.uid)
        if deleting:
            if directory.applied and directory.is_initialized and directory.state_is_local:
                return Observation(exists=not await asyncio.to_thread(directory.state_is_empty))
            return await self._now_or_as_applied(workspace, self._prepare_and_look)
        await self._prepare(workspace)
        planned = await self._command(
            workspace,
            Stage.PLAN,
            (
                "plan", "-no-color", "-input=false", "-detailed-exitcode", "-lock=false", f"-out={directory.plan}",
                *self._variables(workspace), *workspace.plan_args,
            ),
            good=(0, 2),
        )  # fmt: skip
        if planned.code == 0:
            directory.plan.unlink(missing_ok=True)
        standing = await self._look(workspace)
        return replace(standing, up_to_date=planned.code == 0, checksum=files.checksum(workspace))

    async def claim(self, workspace: WorkspaceInput) -> None:
        """See :meth:`capt.terraform.executor.Executor.claim`."""
        await asyncio.to_thread(self._directory(workspace.uid).set_applied, workspace)

    async def apply(self, workspace: WorkspaceInput) -> Mapping[str, Output]:
        """See :meth:`capt.terraform.executor.Executor.apply`."""
        directory = self._directory(workspace.uid)
        await self.claim(workspace)
        arguments: tuple[str, ...]
        if workspace.apply_args or not directory.plan.exists():
            # arguments may change what is planned, which Terraform refuses together with a saved plan
            arguments = ("-auto-approve", *self._variables(workspace), *workspace.apply_args)
        else:
            arguments = (str(directory.plan),)
        try:
            await self._command(workspace, Stage.APPLY, ("apply", "-no-color", "-input=false", *arguments))
        finally:
            directory.plan.unlink(missing_ok=True)
        return await self._outputs(workspace)

    async def destroy(self, workspace: WorkspaceInput) -> None:
        """See :meth:`capt.terraform.executor.Executor.destroy`."""
        await self._now_or_as_applied(workspace, self._destroy)

    async def forget(self, uid: str) -> bool:
        """See :meth:`capt.terraform.executor.Executor.forget`."""
        return await asyncio.to_thread(self._directory(uid).remove)

    async def _destroy(self, workspace: WorkspaceInput) -> None:
        await self._prepare(workspace)
        await self._command(
            workspace,
            Stage.DESTROY,
            (
                "destroy", "-no-color", "-auto-approve", "-input=false",
                *self._variables(workspace), *workspace.destroy_args,
            ),
        )  # fmt: skip

    async def _prepare_and_look(self, workspace: WorkspaceInput) -> Observation:
        await self._prepare(workspace)
        return await self._look(workspace)

    async def _look(self, workspace: WorkspaceInput) -> Observation:
        directory = self._directory(workspace.uid)
        if directory.state_is_local:
            exists = not await asyncio.to_thread(directory.state_is_empty)
            # without a state file `state list` fails and `output` has nothing to tell
            outputs = await self._outputs(workspace) if exists else {}
            return Observation(exists=exists, known=directory.applied is not None, outputs=outputs)
        outputs = await self._outputs(workspace)
        listed = await self._command(workspace, Stage.RESOURCES, ("state", "list"), good=(0, 1))
        if listed.code and "No state file was found" not in listed.stderr:
            raise TerraformError(Stage.RESOURCES, listed.stderr)
        return Observation(exists=bool(outputs or listed.stdout.strip()), outputs=outputs)

    async def _now_or_as_applied(
        self, workspace: WorkspaceInput, action: Callable[[WorkspaceInput], Awaitable[_T]]
    ) -> _T:
        try:
            return await action(workspace)
        except (TerraformError, InvalidInputError):
            applied = self._directory(workspace.uid).applied
            if applied is None or applied == replace(workspace, environment={}):
                raise
            self._log.warning("the Workspace's module fails; trying what was last applied", exc_info=True)
            return await action(replace(applied, environment=workspace.environment))

    async def _prepare(self, workspace: WorkspaceInput) -> None:
        """Bring the files to what the Workspace says, and initialise when module files changed."""
        directory = self._directory(workspace.uid)
        if workspace.source not in {"Inline", "Remote"}:
            message = (
                f"spec.forProvider.source {workspace.source} is not supported by this engine: Flux sources need the "
                "Crossplane provider; use Inline or Remote"
            )
            raise InvalidInputError(message)
        files.check_arguments(workspace)
        if not await asyncio.to_thread(directory.is_place_of, workspace):
            incoming = await asyncio.to_thread(directory.begin_place)
            if workspace.source == "Remote":
                await self._fetch(workspace, incoming)
            await asyncio.to_thread(directory.finish_place, workspace)
        if workspace.source == "Inline":
            await asyncio.to_thread(directory.write_module, workspace)
        await asyncio.to_thread(directory.write_variables, workspace)
        if directory.is_initialized_for(workspace):
            return
        async with self._gate.init:
            await self._command(
                workspace, Stage.INIT, ("init", "-no-color", "-input=false", *workspace.init_args)
            )
        await asyncio.to_thread(directory.set_initialized, workspace)

    async def _fetch(self, workspace: WorkspaceInput, target: Path) -> None:
        command = ("init", "-no-color", "-input=false", "-backend=false", f"-from-module={workspace.module}")
        async with self._gate.init:
            await self._command(workspace, Stage.FETCH, command, directory=target)

    async def _outputs(self, workspace: WorkspaceInput) -> Mapping[str, Output]:
        printed = await self._command(workspace, Stage.OUTPUT, ("output", "-no-color", "-json"))
        outputs: dict[str, dict[str, Any]] = json.loads(printed.stdout)
        return {
            name: Output(value=output["value"], sensitive=output["sensitive"])
            for name, output in outputs.items()
        }

    async def _command(
        self,
        workspace: WorkspaceInput,
        stage: Stage,
        arguments: Sequence[str],
        *,
        good: Sequence[int] = (0,),
        directory: Path | None = None,
    ) -> Completed:
        async with self._gate.commands:
            with self._gate.timed(arguments[0]):
                completed = await self._run(workspace, stage, arguments, directory)
                if completed.code not in good:
                    raise TerraformError(stage, completed.stderr)
        if workspace.log_output and stage in {Stage.PLAN, Stage.APPLY, Stage.DESTROY}:
            self._log.info(
                f"{self._cli.name} {arguments[0]}", stdout=completed.stdout, stderr=completed.stderr
            )
        return completed

    async def _run(
        self, workspace: WorkspaceInput, stage: Stage, arguments: Sequence[str], directory: Path | None
    ) -> Completed:
        name = f"{self._cli.name} {arguments[0]}"
        command = run(
            (self._cli, *arguments),
            directory=directory or self._directory(workspace.uid).runs_in,
            environment=command_environment(
                os.environ, workspace.environment, plugin_cache=self._plugin_cache
            ),
            limit=self._options.limit,
            grace=self._options.grace,
        )
        try:
            completed = await unless(self._gate.closed, command)
        except TimeoutError as error:
            message = f"Error: stopped after {self._options.limit:g} s: {name}\n"
            raise TerraformError(stage, message) from error
        if completed is None:
            raise TerraformError(stage, f"Error: interrupted, because the engine stops: {name}\n")
        return completed

    def _variables(self, workspace: WorkspaceInput) -> tuple[str, ...]:
        return files.variable_arguments(workspace, self._directory(workspace.uid).variables)

    def _directory(self, uid: str) -> WorkDirectory:
        if not uid.replace("-", "").isalnum():
            message = f"{uid!r} is no uid"
            raise InvalidInputError(message)
        return WorkDirectory(self._root / uid)
