"""The built-in Workspace engine: reconciles Workspaces by running Terraform where no Crossplane provider does.

It keeps the provider's promises (conditions, reasons, messages, finalizer, connection secret), so that controllers
that drive Workspaces cannot tell the two apart. What it does not have is a ProviderConfig: ``providerConfigRef`` is
ignored, provider and backend blocks belong into the module, credentials into ``env`` or the manager's environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from capt import __version__
from capt.api import Workspace
from capt.runtime import (
    Controller,
    Kind,
    Manager,
    may,
    watch_self,
)
from capt.terraform.cli import CliExecutor, CliOptions, Gate, find_cli
from capt.terraform.conduct import OWN
from capt.terraform.executor import (
    Executor,
    InvalidInputError,
    Observation,
    Output,
    Stage,
    TerraformError,
    WorkspaceInput,
)
from capt.terraform.kinds import CONFIG_MAP, FLAVOURS, SECRET
from capt.terraform.reconciler import RETRY, WorkspaceReconciler
from capt.terraform.simulated import SimulatedExecutor, Simulation
from capt.terraform.triggers import worth_a_look
from capt.terraform.work_directory import standing_resources

__all__ = [
    "CliExecutor",
    "CliNotFoundError",
    "CliOptions",
    "Executor",
    "Gate",
    "InvalidInputError",
    "Observation",
    "Output",
    "SimulatedExecutor",
    "Simulation",
    "Stage",
    "TerraformError",
    "WorkspaceInput",
    "WorkspaceReconciler",
    "add_to",
    "find_cli",
    "standing_resources",
]

USER_AGENT = f"capt-engine/{__version__}"


class CliNotFoundError(Exception):
    """Neither ``terraform`` nor ``tofu`` is on PATH."""


def add_to(
    manager: Manager,
    *,
    engine: Literal["terraform", "simulated"],
    data_dir: Path,
    parallelism: int = 4,
    simulation: Simulation | None = None,
) -> None:
    """Add a controller for each flavour of Workspace; a flavour that is not served yet is waited for.

    Args:
        manager: receives the controllers.
        engine: ``terraform`` runs the CLI, ``simulated`` pretends to.
        data_dir: where Terraform state lies; as durable as the infrastructure has to be.
        parallelism: most Terraform commands at once, over all flavours; most reconciles at once of one flavour.
        simulation: how the simulated engine behaves.

    Raises:
        CliNotFoundError: ``engine`` is ``terraform`` and there is no such command.
    """
    client = manager.client_as(USER_AGENT)
    recorder = manager.recorder("capt-engine", user_agent=USER_AGENT)
    executors = (
        _cli_executors(manager, data_dir / "terraform", parallelism)
        if engine == "terraform"
        else dict.fromkeys(
            FLAVOURS,
            SimulatedExecutor(clock=manager.clock, simulation=simulation, directory=data_dir / "simulated"),
        )
    )
    for kind, executor in executors.items():
        reconciler = WorkspaceReconciler(
            kind=kind,
            client=client,
            executor=executor,
            recorder=recorder,
            clock=manager.clock,
            conduct=simulation.conduct if simulation is not None and engine == "simulated" else OWN,
        )
        manager.add(
            Controller(
                name=f"engine.{kind.resource.group}",
                reconciler=reconciler,
                watches=(replace(watch_self(kind, predicate=worth_a_look), optional=True),),
                workers=parallelism,
                backoff=RETRY,
                rights=(
                    may(kind, "get", "patch"),
                    may(kind, "patch", subresource="status"),
                    # connection secrets block the foreground deletion of their Workspace
                    may(kind, "update", subresource="finalizers"),
                    may(SECRET, "get", "create", "patch"),
                    may(CONFIG_MAP, "get"),
                ),
            )
        )


def _cli_executors(manager: Manager, root: Path, parallelism: int) -> Mapping[Kind[Workspace], Executor]:
    gate = Gate(parallelism, clock=manager.clock, registry=manager.metrics.registry)
    manager.add_runnable("terraform commands", gate.guard)
    return {kind: CliExecutor(cli=_cli_for(kind), root=root, gate=gate) for kind in FLAVOURS}


def _cli_for(kind: Kind[Workspace]) -> Path:
    """Return the command for a flavour: its own where it is installed, else the other one."""
    names = ("tofu", "terraform") if kind.resource.group.startswith("opentofu") else ("terraform", "tofu")
    cli = find_cli(*names)
    if cli is None:
        message = "neither terraform nor tofu is on PATH; install one, or choose another Workspace engine"
        raise CliNotFoundError(message)
    return cli
