"""What an inline module declares."""

from __future__ import annotations

import json

import pytest

from capt.hcl import ModuleSyntaxError, OutputBlock, parse

HCL = """
# a comment with variable "not_this_one" {}
variable "name" { type = string }
variable "count_of" {
  type    = number
  default = 2
}
locals { label = "x-${var.name}" }
resource "aws_instance" "node" {
  count = var.count_of
  tags  = { Name = var.name }
}
module "network" { source = "./network" }
data "aws_ami" "image" {}
output "name" { value = var.name }
output "secret" {
  value     = "s-${var.name}"
  sensitive = true
}
"""


def test_declarations_of_a_module() -> None:
    """Variables with and without default, outputs with their expressions, resources and modules are seen."""
    module = parse(HCL, "HCL")
    required = {name: block.required for name, block in module.variables.items()}
    assert required == {"name": True, "count_of": False}
    assert module.variables["name"].line == 3
    assert module.variables["name"].header == 'variable "name" { type = string }'
    assert module.variables["count_of"].type == "number"
    assert module.outputs == {
        "name": OutputBlock(expression="${var.name}"),
        "secret": OutputBlock(expression='"s-${var.name}"', sensitive=True),
    }
    assert module.resources == 2


def test_the_json_syntax_declares_the_same() -> None:
    """Terraform's JSON syntax, with blocks as objects or as lists of objects."""
    module = parse(
        json.dumps(
            {
                "variable": [{"name": {"type": "string"}}, {"n": {"default": 1}}],
                "resource": {"terraform_data": {"x": {"input": "${var.name}"}}},
                "output": {"name": {"value": "${var.name}", "sensitive": True}},
            }
        ),
        "JSON",
    )
    assert {name: block.required for name, block in module.variables.items()} == {"name": True, "n": False}
    assert module.outputs["name"] == OutputBlock(expression='"${var.name}"', sensitive=True)
    assert module.resources == 1


@pytest.mark.parametrize(
    ("text", "syntax"), [('resource "a" {', "HCL"), ("{", "JSON"), ("[]", "JSON"), ("= 1", "HCL")]
)
def test_what_is_no_configuration_is_refused(text: str, syntax: str) -> None:
    """The error is one of ours, whatever the parser raises."""
    with pytest.raises(ModuleSyntaxError):
        parse(text, syntax)


def test_an_empty_module_declares_nothing() -> None:
    """No text, or comments alone, is a module."""
    module = parse("# nothing", "HCL")
    assert (module.variables, module.outputs, module.resources) == ({}, {}, 0)
