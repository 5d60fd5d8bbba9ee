"""What an inline module declares, read with python-hcl2. Pure functions.

The parser gives literals as Python values, quoted templates with their quotes, and every other expression as
``${...}``. Modules in Terraform's JSON syntax have no such distinction: there each string is a template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from capt.hcl.syntax import loads


class ModuleSyntaxError(ValueError):
    """The text is no Terraform configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableBlock:
    """A ``variable`` block.

    Attributes:
        line: number of its first line.
        header: that line.
        required: it has no default.
        default: the default, an expression as the parser gives it.
        type: the type expression; "" when there is none.
        nullable: it may be null; false turns null into the default.
    """

    line: int
    header: str
    required: bool
    default: Any = None
    type: str = ""
    nullable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputBlock:
    """An ``output`` block.

    Attributes:
        expression: its value, as the parser gives it.
        sensitive: it is declared sensitive.
    """

    expression: Any
    sensitive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleText:
    """What a module declares.

    Attributes:
        variables: by name.
        outputs: by name.
        resources: number of ``resource`` and ``module`` blocks.
        backend: where the module itself keeps its state: the type of its ``backend`` block, or ``cloud``; "" when it
            says nothing, and the provider's configuration decides.
    """

    variables: Mapping[str, VariableBlock]
    outputs: Mapping[str, OutputBlock]
    resources: int
    backend: str = ""


def parse(text: str, syntax: str) -> ModuleText:
    """Read a module.

    Args:
        text: the one file of an inline module.
        syntax: ``HCL`` or ``JSON``.

    Raises:
        ModuleSyntaxError: the text is no Terraform configuration; the message says where.
    """
    blocks = _json_blocks(text) if syntax == "JSON" else _hcl_blocks(text)
    return ModuleText(
        variables={
            name: VariableBlock(
                line=_line(text, name)[0],
                header=_line(text, name)[1],
                required="default" not in body,
                default=body.get("default"),
                type=str(body.get("type", "")).strip('"').removeprefix("${").removesuffix("}"),
                nullable=body.get("nullable") is not False,
            )
            for name, body in blocks["variable"]
        },
        outputs={
            name: OutputBlock(expression=body.get("value"), sensitive=body.get("sensitive") is True)
            for name, body in blocks["output"]
        },
        resources=len(blocks["resource"]) + len(blocks["module"]),
        backend=next((_backend(name, body) for name, body in blocks["terraform"] if name in _STATE), ""),
    )


_BLOCKS = ("variable", "output", "resource", "module", "terraform")
_STATE = ("backend", "cloud")
_Blocks = dict[str, list[tuple[str, Any]]]


def _hcl_blocks(text: str) -> _Blocks:
    # large, and a manager whose templates are all remote never needs it
    from lark.exceptions import LarkError

    try:
        content = loads(text)
    except (LarkError, RecursionError) as error:
        raise ModuleSyntaxError(str(error)) from error
    return {
        kind: [(name.strip('"'), body) for block in content.get(kind, ()) for name, body in block.items()]
        for kind in _BLOCKS
    }


def _backend(name: str, body: Any) -> str:
    block = body[0] if isinstance(body, list) and body else body
    kinds = [kind.strip('"') for kind in block] if isinstance(block, dict) else []
    return name if name == "cloud" else next(iter(kinds), "")


def _json_blocks(text: str) -> _Blocks:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ModuleSyntaxError(str(error)) from error
    if not isinstance(content, dict):
        message = "the top level must be an object"
        raise ModuleSyntaxError(message)
    found: _Blocks = {}
    for kind in _BLOCKS:
        blocks = content.get(kind) or {}
        found[kind] = [
            (name, _quoted(body))
            for block in (blocks if isinstance(blocks, list) else [blocks])
            for name, body in block.items()
        ]
    return found


def _quoted(value: Any) -> Any:
    """Write strings of the JSON syntax as the templates that they are."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    if isinstance(value, dict):
        return {name: _quoted(item) for name, item in value.items()}
    return value


def _line(text: str, variable: str) -> tuple[int, str]:
    pattern = re.compile(rf'^.*(?:\bvariable\s+"?|"){re.escape(variable)}"?\b.*$', re.MULTILINE)
    found = pattern.search(text)
    return (text.count("\n", 0, found.start()) + 1, found[0].strip()) if found else (1, "")
