"""Variables against what the module declares."""

from __future__ import annotations

from typing import Any

import pytest

from capt.api import WorkspaceParameters
from capt.controllers.workspace_template_apply.render import WORKSPACE_NAME
from capt.controllers.workspace_template_apply.variable_check import (
    MOST_PROBLEMS,
    Unread,
    declarations,
    variable_problems,
)
from capt.hcl import ModuleReader, ModuleText, parse
from tests.support.chain import apply_of, template

MODULE = parse(
    """
variable "name" { type = string }
variable "size" {
  type    = number
  default = 1
}
variable "strict" {
  type     = string
  nullable = false
}
""",
    "HCL",
)
GOOD = {"name": "n", "strict": "s"}


@pytest.mark.parametrize(
    ("varmap", "inputs", "problems"),
    [
        (GOOD, {}, ()),
        ({"strict": "s", "name": None}, {}, ()),
        ({**GOOD, "strict": None}, {}, ("variable 'strict' must not be null",)),
        ({"strict": "s"}, {}, ("variable 'name' is required by the module and has no value",)),
        ({"strict": "s"}, {"vars": [{"key": "name", "value": "n"}]}, ()),
        ({"strict": "s"}, {"env": [{"name": "TF_VAR_name", "value": "n"}]}, ()),
        ({}, {"varFiles": [{"source": "SecretKey", "secretKeyRef": {"name": "a", "key": "b"}}]}, ()),
        ({}, {"planArgs": ["-var-file=x"]}, ()),
        (
            GOOD,
            {"vars": [{"key": "other", "value": ""}]},
            ("variable 'other' is not declared by the module",),
        ),
        (
            {**GOOD, "nme": ""},
            {},
            ("variable 'nme' is not declared by the module (did you mean 'name'?)",),
        ),
        (
            {**GOOD, "size": "many"},
            {},
            ("variable 'size' has the wrong type: a number is wanted, a string is given",),
        ),
        ({**GOOD, "size": "12"}, {}, ()),
    ],
)
def test_problems(varmap: dict[str, Any], inputs: dict[str, Any], problems: tuple[str, ...]) -> None:
    """What Terraform would refuse or drop is named; what it may get from elsewhere is not missed."""
    parameters = WorkspaceParameters.model_validate({"source": "Inline", "module": "-", **inputs})
    assert variable_problems(MODULE, parameters, varmap) == problems


def test_no_more_problems_than_anybody_reads() -> None:
    """A long list is cut, and says so."""
    parameters = WorkspaceParameters(source="Inline", module="-")
    found = variable_problems(MODULE, parameters, {**GOOD, **dict.fromkeys("abcdefghijklmnop", 1)})
    assert len(found) == MOST_PROBLEMS + 1
    assert found[-1] == "and 6 more problems"


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ('variable "a" {}\noutput "x" { value = "${a}-${WORKSPACE_NAME}" }', ""),
        ('variable "a" {}\nlocals { n = ${a} }', ""),
        ("resource {", "ModuleNotReadable"),
    ],
)
async def test_placeholders_do_not_hide_what_is_declared(module: str, reason: str) -> None:
    """A module is read with its placeholders filled; one that nobody can read is left to Terraform."""
    found = await declarations(
        ModuleReader(), template(module), apply_of(variables={"a": "1"}), WORKSPACE_NAME
    )
    if reason:
        assert isinstance(found, Unread)
        assert found.reason == reason
    else:
        assert isinstance(found, ModuleText)
        assert set(found.variables) == {"a"}
