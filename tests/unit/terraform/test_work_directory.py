"""The directory of one Workspace on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from capt.terraform.executor import VariableFile, WorkspaceInput
from capt.terraform.work_directory import WorkDirectory, standing_resources

INLINE = WorkspaceInput(uid="0a1b", name="node", module="# one", varmap={"a": 1})
STATE = json.dumps({"version": 4, "resources": [{"mode": "managed", "instances": [{}]}], "outputs": {}})


@pytest.fixture
def directory(tmp_path: Path) -> WorkDirectory:
    directory = WorkDirectory(tmp_path / "terraform" / "0a1b")
    settle(directory, INLINE)
    return directory


def settle(directory: WorkDirectory, workspace: WorkspaceInput) -> None:
    if not directory.is_place_of(workspace):
        directory.begin_place()
        directory.finish_place(workspace)
    directory.write_module(workspace)
    directory.write_variables(workspace)


def test_nothing_in_it_is_readable_by_others(directory: WorkDirectory) -> None:
    """Directories have mode 0700, files 0600: state and variables hold secrets."""
    directory.set_applied(INLINE)
    modes = {
        path.is_dir(): path.stat().st_mode & 0o777 for path in (directory.path, *directory.path.rglob("*"))
    }
    assert modes == {True: 0o700, False: 0o600}


def test_files_follow_the_workspace(directory: WorkDirectory) -> None:
    """The other syntax's file and variable files of earlier runs are gone, or Terraform would read both."""
    asked = replace(
        INLINE, module="{}", inline_format="JSON", varmap={}, variable_files=(VariableFile(content="a = 1"),)
    )
    settle(directory, asked)
    assert [path.name for path in directory.path.glob("main*")] == ["main.tf.json"]
    assert [path.name for path in directory.variables.iterdir()] == ["0.tfvars"]


def test_state_and_claim_survive_a_move_to_another_module_directory(directory: WorkDirectory) -> None:
    """Another source or entrypoint brings new files and keeps the state, where Terraform will look for it."""
    directory.set_applied(INLINE)
    (directory.runs_in / "terraform.tfstate").write_text(STATE)
    moved = replace(INLINE, entrypoint="sub/dir")
    settle(directory, moved)
    assert directory.runs_in == directory.path / "sub" / "dir"
    assert (directory.runs_in / "terraform.tfstate").read_text() == STATE
    assert not (directory.path / "main.tf").exists()
    assert directory.applied == INLINE


def test_a_state_that_comes_with_a_module_is_not_ours(directory: WorkDirectory) -> None:
    """A repository that contains a state file brings no claim to what it lists."""
    incoming = directory.begin_place()
    (incoming / "terraform.tfstate").write_text(STATE)
    directory.finish_place(replace(INLINE, source="Remote", module="example/module"))
    assert not directory.holds_resources()


def test_a_crash_between_the_renames_loses_nothing(directory: WorkDirectory) -> None:
    """The old directory that was put aside is found again."""
    directory.set_applied(INLINE)
    (directory.path / "terraform.tfstate").write_text(STATE)
    directory.path.rename(directory.path.with_name(".0a1b.previous"))
    assert standing_resources(directory.path.parent.parent) == ("node",)
    again = WorkDirectory(directory.path)
    assert again.holds_resources()
    assert again.applied == INLINE


@pytest.mark.parametrize(
    "where",
    ["terraform.tfstate", "terraform.tfstate.d/other/terraform.tfstate", "kept/state.json"],
)
def test_it_is_not_removed_while_a_state_lists_resources(directory: WorkDirectory, where: str) -> None:
    """Wherever Terraform was told to keep local state, what it lists keeps the directory."""
    record = {"version": 3, "backend": {"type": "local", "config": {"path": "kept/state.json"}}}
    (directory.path / ".terraform").mkdir()
    (directory.path / ".terraform" / "terraform.tfstate").write_text(json.dumps(record))
    path = directory.path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STATE)
    assert not directory.remove()
    assert directory.path.exists()
    path.write_text(json.dumps({"version": 4, "resources": [], "outputs": {}}))
    assert directory.remove()
    assert not directory.path.exists()


def test_a_backend_of_the_modules_own_is_recognised(directory: WorkDirectory) -> None:
    """What init recorded tells where the state is."""
    assert directory.state_is_local
    (directory.path / ".terraform").mkdir()
    record = directory.path / ".terraform" / "terraform.tfstate"
    record.write_text(json.dumps({"version": 3, "backend": {"type": "s3", "config": {"key": "x"}}}))
    assert not directory.state_is_local


def test_credentials_are_not_remembered(directory: WorkDirectory) -> None:
    """What was applied is remembered with its variables and without its environment."""
    asked = replace(INLINE, environment={"AWS_SECRET_ACCESS_KEY": "hush"}, variables=(("a", "b"),))
    directory.set_applied(asked)
    assert directory.applied == replace(asked, environment={})
    assert all("hush" not in path.read_text() for path in directory.path.rglob("*") if path.is_file())


def test_init_is_needed_again_when_module_files_change(directory: WorkDirectory) -> None:
    """The mark is for exactly these files, and is left behind with the directory that it was made in."""
    directory.set_initialized(INLINE)
    assert directory.is_initialized_for(replace(INLINE, varmap={"a": 2}))
    assert not directory.is_initialized_for(replace(INLINE, module="# two"))
    settle(directory, replace(INLINE, entrypoint="sub"))
    assert not directory.is_initialized


def test_standing_resources_are_named(directory: WorkDirectory, tmp_path: Path) -> None:
    """Whoever wants to remove the data directory learns whose infrastructure stands; caches do not count."""
    assert standing_resources(tmp_path) == ()
    (tmp_path / "terraform" / ".plugin-cache").mkdir()
    (directory.path / "terraform.tfstate").write_text(STATE)
    assert standing_resources(tmp_path) == ("0a1b",)
    directory.set_applied(INLINE)
    assert standing_resources(tmp_path) == ("node",)
