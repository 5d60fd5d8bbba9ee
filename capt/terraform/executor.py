"""What the engine asks of Terraform, and what it is told.

The reconciler knows no process and no file: it speaks to an :class:`Executor`. There are two, the real CLI
(:mod:`capt.terraform.cli`) and a simulation (:mod:`capt.terraform.simulated`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableFile:
    """A file of variables, its content already read.

    Attributes:
        format: syntax of the content.
        content: the file, as the ConfigMap or Secret holds it.
    """

    format: Literal["HCL", "JSON"] = "HCL"
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceInput:
    """Everything that a run depends on, with all references resolved.

    Attributes:
        uid: the Workspace's uid; the identity of its work directory and state.
        name: the Workspace as people call it, for logs.
        external_name: the name by which the provider would call its Terraform workspace.
        source: ``Inline``, ``Remote`` or ``Flux``.
        module: module text or address, as ``source`` says.
        inline_format: syntax of an inline module.
        entrypoint: directory within the module in which Terraform runs; "" for its root.
        variables: ``vars``, in order.
        varmap: variables of any JSON type.
        variable_files: ``varFiles``, in order.
        environment: ``env``, resolved.
        init_args: further arguments of ``terraform init``; the others likewise.
        plan_args: see ``init_args``.
        apply_args: see ``init_args``.
        destroy_args: see ``init_args``.
        log_output: log what plan, apply and destroy print (``enableTerraformCLILogging``).
    """

    uid: str
    name: str
    external_name: str = ""
    source: str = "Inline"
    module: str
    inline_format: Literal["HCL", "JSON"] = "HCL"
    entrypoint: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    varmap: Mapping[str, Any] = field(default_factory=dict)
    variable_files: tuple[VariableFile, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    init_args: tuple[str, ...] = ()
    plan_args: tuple[str, ...] = ()
    apply_args: tuple[str, ...] = ()
    destroy_args: tuple[str, ...] = ()
    log_output: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output of a module.

    Attributes:
        value: JSON value; never ``None``, since Terraform keeps no null outputs.
        sensitive: declared sensitive: goes into the connection secret, never into status or logs.
    """

    value: Any
    sensitive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What stands, and whether it is what the Workspace asks for.

    Attributes:
        exists: the state holds resources or outputs.
        up_to_date: a plan found nothing to do. False when nothing was planned (deletion).
        known: this executor has claimed the Workspace before, or its state lies in a backend that anybody can read.
            False together with a finalizer means that the state was lost: creating again would make everything twice.
        outputs: the state's outputs.
        checksum: identifies the module files that were planned.
    """

    exists: bool
    up_to_date: bool = False
    known: bool = True
    outputs: Mapping[str, Output] = field(default_factory=dict)
    checksum: str = ""


class Stage(StrEnum):
    """What Terraform was doing when it failed; the value is what the provider calls it in its messages."""

    FETCH = "cannot get remote Terraform module"
    INIT = "cannot initialize Terraform configuration"
    PLAN = "cannot diff (i.e. plan) Terraform configuration"
    OUTPUT = "cannot list Terraform outputs"
    RESOURCES = "cannot list Terraform resources"
    APPLY = "cannot apply Terraform configuration"
    DESTROY = "cannot destroy Terraform configuration"


_SUMMARY = re.compile(r"Error: (.+)")


class TerraformError(Exception):
    """Terraform refused or failed.

    Attributes:
        stage: what it was doing.
        summary: the first line that says what is wrong; "" when Terraform printed none.
        stderr: all that it printed.
    """

    def __init__(self, stage: Stage, stderr: str) -> None:
        found = _SUMMARY.search(stderr)
        self.stage = stage
        self.summary = found[1].strip() if found else ""
        self.stderr = stderr
        super().__init__(f"{stage}: {self.summary or 'no error text'}")


class InvalidInputError(Exception):
    """The Workspace asks for what no run can do; the text names the field."""


class InterruptedRunError(Exception):
    """The engine was killed in the middle of a run; simulated, since the real case raises nothing."""


class Executor(Protocol):
    """Runs Terraform for Workspaces. Never called twice at once for one uid."""

    async def observe(self, workspace: WorkspaceInput, *, deleting: bool = False) -> Observation:
        """Tell what stands. When deleting nothing is planned: a module that no longer plans must still be deletable.

        Raises:
            TerraformError: Terraform refused or failed.
            InvalidInputError: the input makes no sense.
        """

    async def claim(self, workspace: WorkspaceInput) -> None:
        """Remember, durably, that this executor is about to create or change the Workspace."""

    async def apply(self, workspace: WorkspaceInput) -> Mapping[str, Output]:
        """Carry out what the last :meth:`observe` found necessary; returns the outputs.

        Raises:
            TerraformError: Terraform failed; what it made until then is in its state.
        """

    async def destroy(self, workspace: WorkspaceInput) -> None:
        """Destroy everything that the state holds.

        Raises:
            TerraformError: something still stands.
        """

    async def forget(self, uid: str) -> bool:
        """Remove what is kept for a Workspace; returns False, and keeps it, while its state holds resources."""
