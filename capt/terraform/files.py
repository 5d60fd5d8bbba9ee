"""What a Workspace looks like as files and arguments: pure functions.

Values never become part of HCL text: ``vars`` are arguments, ``varmap`` is a JSON file, variable files are copied as
they are. Terraform lets the last one win, so the order is the provider's: vars, variable files, varmap.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from capt.terraform.executor import InvalidInputError, WorkspaceInput

VARMAP = "varmap.tfvars.json"

_MOVING: Final = frozenset({"chdir", "from-module", "out", "state", "state-out"})


def entrypoint(workspace: WorkspaceInput) -> PurePosixPath:
    """Return the directory, relative to the module, in which Terraform runs.

    Raises:
        InvalidInputError: it would leave the module.
    """
    path = PurePosixPath(workspace.entrypoint)
    if path.is_absolute() or ".." in path.parts:
        message = f"spec.forProvider.entrypoint {workspace.entrypoint!r} must stay within the module"
        raise InvalidInputError(message)
    return path


def module_file(workspace: WorkspaceInput) -> tuple[str, str]:
    """Return name and content of the one file of an inline module."""
    return ("main.tf.json" if workspace.inline_format == "JSON" else "main.tf", workspace.module)


def variable_files(workspace: WorkspaceInput) -> Mapping[str, str]:
    """Return the variable files by name, in the order in which Terraform must read them."""
    files = {
        f"{number}.tfvars{'.json' if file.format == 'JSON' else ''}": file.content
        for number, file in enumerate(workspace.variable_files)
    }
    if workspace.varmap:
        files[VARMAP] = json.dumps(workspace.varmap, sort_keys=True, ensure_ascii=False)
    return files


def variable_arguments(workspace: WorkspaceInput, directory: Path) -> tuple[str, ...]:
    """Return the arguments that give all variables, with the variable files in ``directory``."""
    return (
        *(f"-var={key}={value}" for key, value in workspace.variables),
        *(f"-var-file={directory / name}" for name in variable_files(workspace)),
    )


def check_arguments(workspace: WorkspaceInput) -> None:
    """Refuse arguments that would move the state, or the plan, to where this engine does not look for it.

    Raises:
        InvalidInputError: such an argument is given; the text names field and argument.
    """
    fields = {
        "initArgs": workspace.init_args,
        "planArgs": workspace.plan_args,
        "applyArgs": workspace.apply_args,
        "destroyArgs": workspace.destroy_args,
    }
    for field, arguments in fields.items():
        for argument in arguments:
            if argument.lstrip("-").partition("=")[0] in _MOVING:
                message = (
                    f"spec.forProvider.{field}: {argument} is the engine's business; use a backend block"
                )
                raise InvalidInputError(message)


def place(workspace: WorkspaceInput) -> str:
    """Return what identifies the module's directory: a change needs another one, not another file in it.

    The entrypoint stands in it as text, after a space.

    Raises:
        InvalidInputError: the entrypoint would leave the module.
    """
    address = workspace.module if workspace.source == "Remote" else ""
    return f"{_digest(workspace.source, address)} {entrypoint(workspace)}"


def checksum(workspace: WorkspaceInput) -> str:
    """Return what identifies the initialised module: a change needs ``terraform init``.

    Variables are not part of it: they need no init.
    """
    return _digest(place(workspace), *module_file(workspace), *workspace.init_args)


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
