"""The executor that runs nothing: plausible outputs, chosen latencies, chosen failures.

It reads the module as Terraform would, as far as that is needed to tell the same truths: a missing variable fails the
plan in Terraform's words, a changed variable is a change to apply, outputs that are functions of variables follow
them. What a cloud would decide (ids, addresses) is a hash of the Workspace's uid: the same in every run, different
for every Workspace.

All chance comes from a seed, the Workspace's name and a counter, so that a run can be repeated.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from capt.hcl import ModuleReader, ModuleSyntaxError, ModuleText
from capt.runtime import Clock
from capt.terraform import evaluation, files
from capt.terraform.conduct import Conduct, Generations
from capt.terraform.executor import (
    InterruptedRunError,
    InvalidInputError,
    Observation,
    Output,
    Stage,
    TerraformError,
    WorkspaceInput,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """How the simulated infrastructure behaves.

    Attributes:
        seed: of all chance.
        plan_seconds: how long an observation takes.
        apply_seconds: how long an apply takes.
        destroy_seconds: how long a destroy takes.
        jitter: each duration varies by up to this share, up and down.
        failure_rate: probability that an apply or destroy fails, as a cloud does that is asked too much.
        drift_rate: probability that a plan of what is up to date finds an output changed.
        interruption_rate: probability that the engine is killed during a first apply, as a provider's pod is. Where it
            is above 0, Crossplane's marks around creation are kept, and an interrupted one stops for good.
        generations: which conditions say the generation that they are about: ``all`` as this engine's do, ``synced``
            as those of providers on crossplane-runtime 2, ``none`` as those of older ones.
    """

    seed: int = 0
    plan_seconds: float = 0.0
    apply_seconds: float = 0.0
    destroy_seconds: float = 0.0
    jitter: float = 0.0
    failure_rate: float = 0.0
    drift_rate: float = 0.0
    interruption_rate: float = 0.0
    generations: Generations = "all"

    @property
    def conduct(self) -> Conduct:
        """What a Workspace's reader sees of it besides outputs and latencies."""
        return Conduct(generations=self.generations, marks_creation=self.interruption_rate > 0)


class _Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What stands for one Workspace: the simulation's state file."""

    fingerprint: str
    resources: int
    outputs: Mapping[str, Output]


class SimulatedExecutor:
    """Pretends to run Terraform.

    Args:
        clock: passes the latencies.
        simulation: how the infrastructure behaves.
        directory: where to keep what stands, so that a restart remembers; ``None`` for memory only.
    """

    def __init__(
        self, *, clock: Clock, simulation: Simulation | None = None, directory: Path | None = None
    ) -> None:
        self._clock = clock
        self._simulation = simulation or Simulation()
        self._directory = directory
        self._standing: dict[str, _Standing] = {}
        self._rolls: Counter[tuple[str, str]] = Counter()
        self._modules = ModuleReader()
        if directory is not None:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in directory.glob("*.json"):
                self._standing[path.stem] = msgspec.json.decode(path.read_bytes(), type=_Standing)

    async def observe(self, workspace: WorkspaceInput, *, deleting: bool = False) -> Observation:
        """See :meth:`capt.terraform.executor.Executor.observe`."""
        standing = self._standing.get(workspace.uid)
        held = standing.outputs if standing else {}
        exists = standing is not None and bool(standing.resources or standing.outputs)
        if deleting:
            return Observation(exists=exists, outputs=held)
        await self._pass(workspace, "plan", self._simulation.plan_seconds)
        planned = await self._plan(workspace)
        same = standing is not None and standing.fingerprint == planned.fingerprint
        drifted = same and exists and self._happens(workspace, "drift", self._simulation.drift_rate)
        nothing = not planned.resources and not planned.outputs and not exists
        return Observation(
            exists=exists,
            up_to_date=nothing or (same and not drifted),
            outputs=held,
            checksum=files.checksum(workspace),
        )

    async def claim(self, workspace: WorkspaceInput) -> None:
        """Nothing: what the simulation makes twice does no harm."""

    async def apply(self, workspace: WorkspaceInput) -> Mapping[str, Output]:
        """See :meth:`capt.terraform.executor.Executor.apply`."""
        await self._pass(workspace, "apply", self._simulation.apply_seconds)
        standing = await self._plan(workspace)
        first = workspace.uid not in self._standing
        if first and self._happens(workspace, "interruption", self._simulation.interruption_rate):
            self._keep(workspace.uid, standing)
            raise InterruptedRunError
        try:
            self._fail_sometimes(workspace, Stage.APPLY)
        except TerraformError:
            if first and standing.resources:
                # Terraform keeps what it had made when it failed: the next try is an update
                self._keep(workspace.uid, _Standing(fingerprint="", resources=1, outputs={}))
            raise
        self._keep(workspace.uid, standing)
        return standing.outputs

    async def destroy(self, workspace: WorkspaceInput) -> None:
        """See :meth:`capt.terraform.executor.Executor.destroy`."""
        await self._pass(workspace, "destroy", self._simulation.destroy_seconds)
        self._fail_sometimes(workspace, Stage.DESTROY)
        self._drop(workspace.uid)

    async def forget(self, uid: str) -> bool:
        """See :meth:`capt.terraform.executor.Executor.forget`."""
        standing = self._standing.get(uid)
        if standing is not None and standing.resources:
            return False
        self._drop(uid)
        return True

    def _keep(self, uid: str, standing: _Standing) -> None:
        self._standing[uid] = standing
        if self._directory is not None:
            path = self._directory / f"{uid}.json"
            temporary = path.with_suffix(".new")
            temporary.write_bytes(msgspec.json.encode(standing))
            temporary.replace(path)

    def _drop(self, uid: str) -> None:
        self._standing.pop(uid, None)
        if self._directory is not None:
            (self._directory / f"{uid}.json").unlink(missing_ok=True)

    async def _plan(self, workspace: WorkspaceInput) -> _Standing:
        """Return what would stand after an apply."""
        files.entrypoint(workspace)
        if workspace.source == "Flux":
            message = "spec.forProvider.source Flux is not supported by this engine"
            raise InvalidInputError(message)
        if workspace.source == "Remote":
            # a module that is not here has outputs that nobody can know
            return _Standing(fingerprint=_fingerprint(workspace), resources=1, outputs={})
        try:
            module = await self._modules.read(workspace.module, workspace.inline_format)
        except ModuleSyntaxError as error:
            raise TerraformError(Stage.INIT, f"\nError: Invalid configuration\n\n{error}\n") from error
        variables = _variables(workspace, module)
        values = {
            name: Output(value=value, sensitive=block.sensitive)
            for name, block in sorted(module.outputs.items())
            if (value := evaluation.output(name, block.expression, variables, workspace.uid)) is not None
        }
        return _Standing(fingerprint=_fingerprint(workspace), resources=module.resources, outputs=values)

    async def _pass(self, workspace: WorkspaceInput, what: str, seconds: float) -> None:
        spread = 1.0 + self._simulation.jitter * (2.0 * self._roll(workspace, f"{what} time") - 1.0)
        if seconds > 0:
            await self._clock.sleep(seconds * spread)

    def _fail_sometimes(self, workspace: WorkspaceInput, stage: Literal[Stage.APPLY, Stage.DESTROY]) -> None:
        if self._happens(workspace, stage.name, self._simulation.failure_rate):
            raise TerraformError(
                stage,
                "\nError: waiting for the simulated cloud: RequestLimitExceeded: Request limit exceeded.\n\n"
                "  with the simulated infrastructure,\n  on main.tf line 1\n",
            )

    def _happens(self, workspace: WorkspaceInput, what: str, probability: float) -> bool:
        return probability > 0 and self._roll(workspace, what) < probability

    def _roll(self, workspace: WorkspaceInput, what: str) -> float:
        # by name, since uids differ from run to run
        self._rolls[workspace.name, what] += 1
        number = self._rolls[workspace.name, what]
        chance = random.Random(f"{self._simulation.seed}/{workspace.name}/{what}/{number}")  # noqa: S311 - repeatable
        return chance.random()


def _variables(workspace: WorkspaceInput, module: ModuleText) -> Mapping[str, Any]:
    """Return the values of all declared variables, or fail as Terraform does.

    Raises:
        TerraformError: a required variable has no value, or one that is not declared was given as an argument.
    """
    given: dict[str, Any] = {}
    for name, text in workspace.variables:
        block = module.variables.get(name)
        if block is None:
            raise TerraformError(Stage.PLAN, _undeclared(name))
        given[name] = evaluation.argument(text, block.type)
    for file in workspace.variable_files:
        given |= evaluation.variable_file(file.content, file.format)
    given |= workspace.varmap
    missing = [name for name, block in module.variables.items() if block.required and name not in given]
    if missing:
        raise TerraformError(Stage.PLAN, "".join(_required(name, module) for name in missing))
    defaults = {
        name: evaluation.value(block.default, {}, workspace.uid)
        for name, block in module.variables.items()
        if not block.required
    }
    return {name: given.get(name, defaults.get(name)) for name in module.variables}


def _required(name: str, module: ModuleText) -> str:
    block = module.variables[name]
    return (
        "\nError: No value for required variable\n\n"
        f"  on main.tf line {block.line}:\n{block.line:>4}: {block.header}\n\n"
        f'The root module input variable "{name}" is not set, and has no default value. Use\n'
        "a -var or -var-file command line argument to provide a value for this\nvariable.\n"
    )


def _undeclared(name: str) -> str:
    return (
        "\nError: Value for undeclared variable\n\n"
        f'A variable named "{name}" was assigned on the command line, but the root\n'
        "module does not declare a variable of that name. To use this value, add a\n"
        '"variable" block to the configuration.\n'
    )


def _fingerprint(workspace: WorkspaceInput) -> str:
    inputs = (
        files.checksum(workspace),
        workspace.variables,
        sorted(workspace.varmap.items()),
        [file.content for file in workspace.variable_files],
    )
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
