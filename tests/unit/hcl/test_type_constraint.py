"""Values and type constraints, by Terraform's rules."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest

from capt.hcl import mismatch
from capt.terraform import find_cli

VALUES: tuple[Any, ...] = (
    "text", "12", "1.5e3", "true", "0", "", 7, 1.5, True, [], ["a", 1], [True], [[1]], {}, {"a": "x"},
    {"a": 1, "b": True}, {"a": None}, {"a": {"b": 1}}, [{"a": "x"}], [1, "x"], None,
)  # fmt: skip
TYPES = (
    "", "any", "string", "number", "bool", "list(string)", "list(number)", "set(bool)", "map(string)", "map(number)",
    "map(any)", "list(any)", "object({})", "object({ a = string })", "object({ a = number, b = optional(bool, true) })",
    'object({a=optional(string,"x}"),b=optional(object({c=number}),{c=1})})', "tuple([])", "tuple([string, number])",
    "list(object({ a = string }))", "map(object({ b = number }))", "list(list(number))", "map(map(string))",
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "constraint", "message"),
    [
        (["a"], "string", "a string is wanted, an array of 1 is given"),
        ("many", "number", "a number is wanted, a string is given"),
        ({"a": ["x", {}]}, "map(list(string))", "at ['a'][1] a string is wanted, an object is given"),
        ({"a": {}}, "object({ a = object({ b = string }) })", "at .a attribute 'b' is required"),
        ([1], "tuple([number, number])", "a tuple of 2 is wanted, an array of 1 is given"),
        ("secret", "list(string)", "a list is wanted, a string is given"),
        (
            {"a": {"b": 1, "c": [2]}},
            "map(map(any))",
            "at ['a'] a map whose elements have one type is wanted, they have several",
        ),
        ([1, True], "list(any)", "a list whose elements have one type is wanted, they have several"),
    ],
)
def test_what_is_wrong_is_told_without_the_value(value: Any, constraint: str, message: str) -> None:
    """The message names place, type wanted and type given; a value may be a secret."""
    assert mismatch(value, constraint) == message


@pytest.mark.parametrize("constraint", ["list(", "object({a})", "fancy(string)", "string string", "${var.x}"])
def test_a_constraint_that_is_not_understood_fits_everything(constraint: str) -> None:
    """Terraform has the last word."""
    assert mismatch([{"a": 1}], constraint) is None


@pytest.mark.terraform
@pytest.mark.skipif(find_cli() is None, reason="neither terraform nor tofu is on PATH")
def test_terraform_agrees(tmp_path: Path) -> None:
    """Terraform refuses what we refuse and nothing else: all pairs of the lists, and a hundred made by chance (row 93)."""
    cli = find_cli()
    assert cli is not None
    listed = [(value, type_) for type_ in TYPES for value in VALUES]
    pairs = {f"v{number}": pair for number, pair in enumerate(listed + chance(100))}
    blocks = (
        f'variable "{name}" {{\n{f"  type = {type_}" if type_ else ""}\n}}'
        for name, (_, type_) in pairs.items()
    )
    (tmp_path / "main.tf").write_text("\n".join(blocks))
    (tmp_path / "terraform.tfvars.json").write_text(
        json.dumps({name: value for name, (value, _) in pairs.items()})
    )
    done = subprocess.run(
        [str(cli), "plan", "-input=false", "-no-color"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    refused = set(re.findall(r"The given value is not suitable for var\.(\w+)", done.stderr))
    ours = {name for name, (value, type_) in pairs.items() if mismatch(value, type_)}
    assert {name: pairs[name] for name in ours ^ refused} == {}


def chance(count: int) -> list[tuple[Any, str]]:
    """Return collections with constraints that leave something open, the same in every run."""
    random = Random(2026)

    def value(depth: int) -> Any:
        kind = random.random()
        if depth == 0 or kind < 0.4:
            return random.choice((None, 1, 2.5, True, "s", "1", "true"))
        if kind < 0.7:
            return [value(depth - 1) for _ in range(random.randint(0, 3))]
        return {random.choice("abc"): value(depth - 1) for _ in range(random.randint(0, 3))}

    def constraint(depth: int) -> str:
        if depth == 0 or random.random() < 0.3:
            return random.choice(("any", "any", "string"))
        name = random.choice(("list", "set", "map", "map", "object"))
        if name == "object":
            return f"object({{a = optional({constraint(depth - 1)}), b = {constraint(depth - 1)}}})"
        return f"{name}({constraint(depth - 1)})"

    found: list[tuple[Any, str]] = []
    while len(found) < count:
        given, wanted = value(3), constraint(2)
        if isinstance(given, list if wanted.startswith(("list", "set")) else dict) and "any" in wanted:
            found.append((given, wanted))
    return found
