"""The directory of one Workspace on disk.

    <root>/<uid>/ module/          the module; Terraform runs in it, or in the entrypoint within it, and keeps local
    state there variables/       variable files applied.json     the input of the last apply that was begun; also the
    mark that this engine claimed the Workspace plan             a saved plan, between plan and apply

State is the only thing here that cannot be made again, and two rules keep it: a module directory is replaced only by
one into which the state was copied before, and :meth:`WorkDirectory.remove` refuses while a state lists resources.
State and variables hold secrets: directories have mode 0700, files 0600.

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
_PLACE: Final = ".capt-place"
_INITIALIZED: Final = ".capt-initialized"


@dataclass(frozen=True, slots=True)
class WorkDirectory:
    """The directory of one Workspace.

    Attributes:
        path: ``<root>/<uid>``.
    """

    path: Path

    @property
    def module(self) -> Path:
        """Where the module lies."""
        return self.path / "module"

    @property
    def variables(self) -> Path:
        """Where variable files lie."""
        return self.path / "variables"

    @property
    def plan(self) -> Path:
        """The saved plan."""
        return self.path / "plan"

    @property
    def claimed(self) -> bool:
        """This engine has begun to create the Workspace, some time."""
        return self._applied.exists()

    @property
    def is_initialized(self) -> bool:
        """``terraform init`` has succeeded here, with these module files or with earlier ones."""
        return bool(_read(self.module / _INITIALIZED))

    @property
    def runs_in(self) -> Path:
        """Where Terraform runs."""
        _, _, entrypoint = _read(self.module / _PLACE).partition(" ")
        return self.module / entrypoint

    @property
    def state_is_local(self) -> bool:
        """The state lies in this directory, because the module brings no backend or says ``local``."""
        return self._backend().get("type", "local") == "local"

    def holds_resources(self) -> bool:
        """Tell whether a local state lists resources that stand."""
        self._recover()
        return any(state.holds_resources(path.read_text()) for path in self._states())

    def state_is_empty(self) -> bool:
        """Tell whether no local state holds anything, output or resource."""
        self._recover()
        return all(state.is_empty(path.read_text()) for path in self._states())

    def is_initialized_for(self, workspace: WorkspaceInput) -> bool:
        """Tell whether ``terraform init`` succeeded with exactly these module files."""
        return _read(self.module / _INITIALIZED) == files.checksum(workspace)

    def set_initialized(self, workspace: WorkspaceInput) -> None:
        """Remember that ``terraform init`` succeeded."""
        _write(self.module / _INITIALIZED, files.checksum(workspace))

    def is_place_of(self, workspace: WorkspaceInput) -> bool:
        """Tell whether the module directory is this Workspace's: the same address and entrypoint."""
        self._recover()
        return _read(self.module / _PLACE) == files.place(workspace)

    def begin_place(self, workspace: WorkspaceInput) -> Path:
        """Return an empty directory for another module; :meth:`finish_place` puts it in place."""
        files.place(workspace)  # an entrypoint that leaves the module is refused before anything is made
        self._recover()
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(mode=0o700, parents=True)
        return self._incoming

    def finish_place(self, workspace: WorkspaceInput) -> None:
        """Replace the module directory by the one that :meth:`begin_place` made, carrying the state over."""
        target = self._incoming / files.entrypoint(workspace)
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        (target / _STATE).unlink(missing_ok=True)  # a state that came with the module is somebody else's
        for present in self._states():
            if present.is_relative_to(self.module):
                carried = target / present.relative_to(self.runs_in)
                carried.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _write(carried, present.read_text(), sync=True)
        _write(self._incoming / _PLACE, files.place(workspace))
        if self.module.exists():
            self.module.rename(self._previous)
        self._incoming.rename(self.module)
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

    def set_applied(self, workspace: WorkspaceInput) -> None:
        """Remember the input of an apply about to begin, without its environment: that is where credentials are."""
        kept = msgspec.json.encode(replace(workspace, environment={})).decode()
        if _read(self._applied) != kept:
            _write(self._applied, kept, sync=True)

    def applied(self) -> WorkspaceInput | None:
        """Return the input of the last apply that was begun, without its environment."""
        text = _read(self._applied)
        return msgspec.json.decode(text, type=WorkspaceInput) if text else None

    def remove(self) -> bool:
        """Remove everything; returns False, and removes nothing, while a local state lists resources."""
        if self.holds_resources():
            return False
        shutil.rmtree(self.path, ignore_errors=True)
        return True

    @property
    def _applied(self) -> Path:
        return self.path / "applied.json"

    @property
    def _incoming(self) -> Path:
        return self.path / "incoming"

    @property
    def _previous(self) -> Path:
        return self.path / "previous"

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

    def _recover(self) -> None:
        # a crash between the two renames of finish_place leaves the old directory, with the state, aside
        if self._previous.exists() and not self.module.exists():
            self._previous.rename(self.module)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _write(path: Path, content: str, *, sync: bool = False) -> None:
    """Write a file so that it is there whole or not at all, readable by this user only, through a crash if ``sync``."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)


def standing_in(data_dir: Path) -> tuple[Path, ...]:
    """Return the work directories under an engine's ``data_dir`` whose Terraform state lists resources.

    Whoever is about to remove ``data_dir`` asks this first.
    """
    directories = sorted(path for path in (data_dir / "terraform").glob("*") if path.is_dir())
    return tuple(path for path in directories if WorkDirectory(path).holds_resources())
