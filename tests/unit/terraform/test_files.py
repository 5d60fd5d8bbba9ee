"""A Workspace as files and arguments."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from capt.terraform import files
from capt.terraform.executor import InvalidInputError, VariableFile, WorkspaceInput

INPUT = WorkspaceInput(uid="0a1b", name="node", module="# nothing")


def test_values_are_arguments_and_json_never_module_text() -> None:
    """What looks like HCL or like a shell stays a value: module text is exactly what the user wrote."""
    hostile = '"}\n${file("/etc/passwd")} $(id) %{ if true }'
    asked = replace(INPUT, variables=(("name", hostile),), varmap={"deep": [{"x": hostile}]})
    assert files.module_file(asked) == ("main.tf", "# nothing")
    assert files.variable_arguments(asked, Path("/w")) == (
        f"-var=name={hostile}",
        f"-var-file=/w/{files.VARMAP}",
    )
    assert json.loads(files.variable_files(asked)[files.VARMAP]) == {"deep": [{"x": hostile}]}


def test_the_last_one_wins_in_the_providers_order() -> None:
    """Variable files come after vars and keep their order, varmap is last; the extension says the syntax."""
    asked = replace(
        INPUT,
        variables=(("a", "1"), ("b", "2")),
        varmap={"a": 3},
        variable_files=(VariableFile(content="a = 1"), VariableFile(format="JSON", content="{}")),
    )
    assert files.variable_arguments(asked, Path("/w")) == (
        "-var=a=1",
        "-var=b=2",
        "-var-file=/w/0.tfvars",
        "-var-file=/w/1.tfvars.json",
        "-var-file=/w/varmap.tfvars.json",
    )


def test_json_modules_have_a_json_name() -> None:
    """Terraform tells the syntax by the name of the file."""
    assert files.module_file(replace(INPUT, inline_format="JSON"))[0] == "main.tf.json"


@pytest.mark.parametrize(
    ("change", "init"),
    [
        ({"varmap": {"a": 1}}, False),
        ({"variables": (("a", "1"),)}, False),
        ({"environment": {"A": "1"}}, False),
        ({"plan_args": ("-parallelism=1",)}, False),
        ({"module": "# other"}, True),
        ({"inline_format": "JSON"}, True),
        ({"init_args": ("-upgrade",)}, True),
        ({"entrypoint": "sub"}, True),
        ({"source": "Remote"}, True),
    ],
)
def test_only_what_init_reads_changes_the_checksum(change: dict[str, Any], init: bool) -> None:
    """A variable needs no init; module files, where they lie, and init's own arguments do."""
    assert (files.checksum(replace(INPUT, **change)) != files.checksum(INPUT)) is init


@pytest.mark.parametrize("argument", ["-state=/x", "--state-out=x", "-chdir=/", "-out=p", "-state"])
def test_arguments_cannot_move_the_state(argument: str) -> None:
    """State that lies where nobody looks for it would be taken for no state, and infrastructure be abandoned."""
    with pytest.raises(InvalidInputError, match=r"planArgs: .* backend block"):
        files.check_arguments(replace(INPUT, plan_args=("-parallelism=2", argument)))
    files.check_arguments(replace(INPUT, plan_args=("-parallelism=2", "-refresh=false", "-target=x.state")))


@pytest.mark.parametrize("entrypoint", ["..", "a/../../b", "/etc"])
def test_an_entrypoint_stays_within_the_module(entrypoint: str) -> None:
    """A path that leaves the module is refused with the field's name."""
    with pytest.raises(InvalidInputError, match="entrypoint"):
        files.place(replace(INPUT, entrypoint=entrypoint))


def test_a_place_is_an_address_and_an_entrypoint() -> None:
    """Another inline text stays in the same directory, another remote address does not."""
    assert files.place(INPUT) == files.place(replace(INPUT, module="# other"))
    remote = replace(INPUT, source="Remote", module="git::https://example.org/a.git")
    assert files.place(remote) != files.place(replace(remote, module="git::https://example.org/b.git"))
    assert files.place(remote) != files.place(replace(remote, entrypoint="sub"))
