"""The directory of one Workspace on disk.

    <root>/<uid>/           the module; Terraform runs here, or in the entrypoint within, and keeps local state here
        .capt/
            applied.json    input of the last apply that was begun; also the mark that this engine claimed the Workspace
            initialized     checksum of the module files with which ``terraform init`` last succeeded
            place           which module directory this is, see :func:`capt.terraform.files.place`
            plan            a saved plan, between plan and apply
            variables/      variable files

State is the only thing here that cannot be made again, and two rules keep it: a module directory is replaced only by one
into which the state was copied before, and :meth:`WorkDirectory.remove` refuses while a state lists resources. State
and variables hold secrets: directories have mode 0700, files 0600.

Everything here blocks on the disk; callers on an event loop use a thread.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from capt.terraform import files, state
from capt.terraform.executor import WorkspaceInput

_STATE: Final = "terraform.tfstate"
# marks lie inside the module directory, so that they are replaced together with it
_OURS: Final = ".capt"


@dataclass(frozen=True, slots=True)
class WorkDirectory:
    """The directory of one Workspace.

    Attributes:
        path: ``<root>/<uid>``.
    """

    path: Path

    @property
    def runs_in(self) -> Path:
        """Where Terraform runs."""
        _, _, entrypoint = _read(self._place).partition(" ")
        return self.path / entrypoint

    @property
    def variables(self) -> Path:
        """Where variable files lie."""
        return self.path / _OURS / "variables"

    @property
    def plan(self) -> Path:
        """The saved plan."""
        return self.path / _OURS / "plan"

    @property
    def applied(self) -> WorkspaceInput | None:
        """The input of the last apply that was begun, without its environment; ``None`` before the first.

        It is there from the moment at which this engine claimed the Workspace.
        """
        self._recover()
        text = _read(self._applied)
        return msgspec.json.decode(text, type=WorkspaceInput) if text else None

    @property
    def is_initialized(self) -> bool:
        """``terraform init`` has succeeded here, with these module files or with earlier ones."""
        return bool(_read(self._initialized))

    @property
    def state_is_local(self) -> bool:
        """The state lies in this directory, because the module brings no backend or says ``local``."""
        return bool(self._backend().get("type", "local") == "local")

    def state_is_empty(self) -> bool:
        """Tell whether no local state holds anything, output or resource."""
        self._recover()
        return all(state.is_empty(path.read_text()) for path in self._states())

    def holds_resources(self) -> bool:
        """Tell whether a local state lists resources that stand."""
        self._recover()
        return any(state.holds_resources(path.read_text()) for path in self._states())

    def is_place_of(self, workspace: WorkspaceInput) -> bool:
        """Tell whether the module directory is this Workspace's: the same address and entrypoint."""
        self._recover()
        return _read(self._place) == files.place(workspace)

    def begin_place(self) -> Path:
        """Return an empty directory for another module; :meth:`finish_place` puts it in place."""
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(mode=0o700, parents=True)
        return self._incoming

    def finish_place(self, workspace: WorkspaceInput) -> None:
        """Replace the module directory by the one that :meth:`begin_place` made, carrying the state over."""
        target = self._incoming / files.entrypoint(workspace)
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        (target / _STATE).unlink(missing_ok=True)  # a state that came with the module is somebody else's
        for present in self._states():
            if present.is_relative_to(self.runs_in):
                carried = target / present.relative_to(self.runs_in)
                carried.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _write(carried, present.read_text(), sync=True)
        ours = self._incoming / _OURS
        shutil.rmtree(ours, ignore_errors=True)
        ours.mkdir(mode=0o700)
        if claim := _read(self._applied):
            _write(ours / self._applied.name, claim, sync=True)
        _write(ours / self._place.name, files.place(workspace))
        if self.path.exists():
            self.path.rename(self._previous)
        self._incoming.rename(self.path)
        shutil.rmtree(self._previous, ignore_errors=True)

    def write_module(self, workspace: WorkspaceInput) -> None:
        """Write the file of an inline module."""
        name, text = files.module_file(workspace)
        for other in {"main.tf", "main.tf.json"} - {name}:
            (self.runs_in / other).unlink(missing_ok=True)
        _write(self.runs_in / name, text)

    def write_variables(self, workspace: WorkspaceInput) -> None:
        """Write the variable files, and remove those of earlier runs."""
        self.variables.mkdir(mode=0o700, exist_ok=True)
        wanted = files.variable_files(workspace)
        for present in self.variables.iterdir():
            if present.name not in wanted:
                present.unlink()
        for name, content in wanted.items():
            _write(self.variables / name, content)

    def is_initialized_for(self, workspace: WorkspaceInput) -> bool:
        """Tell whether ``terraform init`` succeeded with exactly these module files."""
        return _read(self._initialized) == files.checksum(workspace)

    def set_initialized(self, workspace: WorkspaceInput) -> None:
        """Remember that ``terraform init`` succeeded."""
        _write(self._initialized, files.checksum(workspace))

    def set_applied(self, workspace: WorkspaceInput) -> None:
        """Remember the input of an apply about to begin, without its environment: that is where credentials are."""
        kept = msgspec.json.encode(replace(workspace, environment={})).decode()
        if _read(self._applied) != kept:
            _write(self._applied, kept, sync=True)

    def remove(self) -> bool:
        """Remove everything; returns False, and removes nothing, while a local state lists resources."""
        if self.holds_resources():
            return False
        for path in (self.path, self._incoming, self._previous):
            shutil.rmtree(path, ignore_errors=True)
        return True

    @property
    def _applied(self) -> Path:
        return self.path / _OURS / "applied.json"

    @property
    def _place(self) -> Path:
        return self.path / _OURS / "place"

    @property
    def _initialized(self) -> Path:
        return self.path / _OURS / "initialized"

    @property
    def _incoming(self) -> Path:
        return self.path.with_name(f".{self.path.name}.incoming")

    @property
    def _previous(self) -> Path:
        return self.path.with_name(f".{self.path.name}.previous")

    def _recover(self) -> None:
        # a crash between the two renames of finish_place leaves the old directory, with the state, aside
        if self._previous.exists() and not self.path.exists():
            self._previous.rename(self.path)

    def _states(self) -> Iterator[Path]:
        configured = (self._backend().get("config") or {}).get("path") if self.state_is_local else None
        candidates = {
            self.runs_in / _STATE,
            self.runs_in / (configured or _STATE),
            # TF_WORKSPACE in the Workspace's env moves the state here
            *self.runs_in.glob(f"terraform.tfstate.d/*/{_STATE}"),
        }
        return (path for path in sorted(candidates) if path.is_file())

    def _backend(self) -> dict[str, Any]:
        # what init recorded about the module's backend block; there is no record without such a block
        record = _read(self.runs_in / ".terraform" / _STATE)
        return json.loads(record).get("backend") or {} if record else {}


def standing_resources(data_dir: Path) -> tuple[str, ...]:
    """Return the names of the Workspaces whose local Terraform state, under an engine's ``data_dir``, lists resources.

    Whoever is about to remove ``data_dir`` asks this first.
    """
    root = data_dir / "terraform"
    names = []
    for path in root.glob("*"):
        # what begins with a dot is no directory of a Workspace, except one that a crash left half replaced
        name = path.name.removeprefix(".").removesuffix(".previous")
        if path.name not in {name, f".{name}.previous"}:
            continue
        directory = WorkDirectory(root / name)
        if directory.holds_resources():
            applied = directory.applied
            names.append(applied.name if applied else name)
    return tuple(sorted(names))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _write(path: Path, content: str, *, sync: bool = False) -> None:
    """Write a file: there whole or not at all, readable by this user only; on disk at return if ``sync``."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)
