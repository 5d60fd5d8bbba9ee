"""Values of expressions without Terraform."""

from __future__ import annotations

import re
from typing import Any

import pytest

from capt.hcl import parse
from capt.terraform import evaluation

UID = "5f0c7f3e-9f4e-4a59-8f5b-0d2a7c1b9e11"
VARIABLES = {"name": "node", "count": 3, "tags": {"env": "dev", "zone-a": [1, 2]}, "on": True}


def evaluated(expression: str, *, name: str = "x") -> Any:
    module = parse(f'output "{name}" {{\n  value = {expression}\n}}\n', "HCL")
    return evaluation.output(name, module.outputs[name].expression, VARIABLES, UID)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('"text"', "text"),
        ("12", 12),
        ("-1.5", -1.5),
        ("true", True),
        ("null", None),
        ("var.name", "node"),
        ("var.count", 3),
        ("var.tags", {"env": "dev", "zone-a": [1, 2]}),
        ("var.tags.env", "dev"),
        ('var.tags["zone-a"][1]', 2),
        ('"${var.name}"', "node"),
        ('"${var.tags}"', {"env": "dev", "zone-a": [1, 2]}),
        ('"a-${var.name}-${var.count}-${var.on}"', "a-node-3-true"),
        (r'"q\"uote $${literal} \n"', 'q"uote ${literal} \n'),
        ('[1, "b", var.name]', [1, "b", "node"]),
        ('{ a = 1, "b" = var.name, (var.name) = [true] }', {"a": 1, "b": "node", "node": [True]}),
    ],
)
def test_functions_of_variables_have_terraforms_values(expression: str, expected: Any) -> None:
    """Literals, references, templates, lists and objects are what Terraform would make of them."""
    assert evaluated(expression) == expected


@pytest.mark.parametrize(
    ("name", "expression", "pattern"),
    [
        ("instance_id", "aws_instance.node.id", r"i-[0-9a-f]{17}"),
        ("instance_id", '"i-${substr(sha1(terraform_data.x.id), 0, 17)}"', r"i-[0-9a-f]{17}"),
        ("private_ip", "aws_instance.node.private_ip", r"10(\.\d{1,3}){3}"),
        ("role_arn", "aws_iam_role.x.arn", r"arn:aws:simulated:us-west-2:000000000000:role/[0-9a-f]{17}"),
        ("subnet_ids", "aws_subnet.all[*].id", r"\['subnet-[0-9a-f]{8}'(, 'subnet-[0-9a-f]{8}'){2}\]"),
        ("vpc", "module.network.vpc", r"vpc-[0-9a-f]{8}"),
        ("url", '"https://${aws_lb.x.dns}/${var.name}"', r"https://[0-9a-f]{17}/node"),
        ("missing", "var.undeclared", r"missing-[0-9a-f]{8}"),
    ],
)
def test_what_a_cloud_would_decide_looks_like_it(name: str, expression: str, pattern: str) -> None:
    """The output's name decides the looks, literal parts of a template are kept."""
    assert re.fullmatch(pattern, str(evaluated(expression, name=name)))


def test_inventions_are_stable_and_differ_between_workspaces() -> None:
    """The same Workspace always gets the same id, another one another."""
    expression = "${aws_instance.node.id}"
    first = evaluation.output("instance_id", expression, {}, UID)
    assert evaluation.output("instance_id", expression, {}, UID) == first
    assert evaluation.output("instance_id", expression, {}, "other") != first


@pytest.mark.parametrize(
    ("text", "declared", "expected"),
    [
        ("3", "string", "3"),
        ("3", "", "3"),
        ("3", "number", 3),
        ("true", "bool", True),
        ('{"a": [1]}', "map(list(number))", {"a": [1]}),
        ("not json", "list(string)", "not json"),
    ],
)
def test_arguments_take_the_declared_type(text: str, declared: str, expected: Any) -> None:
    """`-var` is text for a string and a literal for everything else."""
    assert evaluation.argument(text, declared) == expected


def test_variable_files_are_read_in_both_syntaxes() -> None:
    """HCL and JSON files give the same values."""
    hcl = 'a = "x"\nb = [1, true]\nc = { d = "e" }'
    json = '{"a": "x", "b": [1, true], "c": {"d": "e"}}'
    assert evaluation.variable_file(hcl, "HCL") == evaluation.variable_file(json, "JSON")
