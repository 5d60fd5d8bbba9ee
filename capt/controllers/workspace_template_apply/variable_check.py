"""Whether a module declares the variables that it is given, and is given those that it declares.

Terraform finds out too, minutes later and in many words; and what is not declared it drops with no more than a
warning, so that a misspelt variable silently has its default.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from capt.api import WorkspaceParameters, WorkspaceTemplate, WorkspaceTemplateApply
from capt.controllers.workspace_template_apply.hcl_context import placeholders, put
from capt.hcl import ModuleReader, ModuleSyntaxError, ModuleText, VariableBlock, mismatch

MOST_PROBLEMS: Final = 10
"""Problems told at once; more help nobody."""

_ENVIRONMENT: Final = "TF_VAR_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Why nobody here knows what a module declares.

    Attributes:
        reason: One CamelCase word for programs.
        message: For people.
    """

    reason: str
    message: str


Declarations = ModuleText | Unread


async def declarations(
    modules: ModuleReader, template: WorkspaceTemplate | None, apply: WorkspaceTemplateApply, reserved: str
) -> Declarations:
    """Return what the module of `template` declares, whichever values its placeholders get.

    Args:
        modules: Reads modules.
        template: The template; None where there is none.
        apply: The apply that uses it.
        reserved: Name of the placeholder that is no variable.
    """
    if template is None:
        return Unread(reason="TemplateNotFound", message="there is no template")
    try:
        parameters = template.spec.template.spec.parameters
    except ValueError as error:
        return Unread(reason="TemplateInvalid", message=str(error))
    if parameters.source != "Inline":
        message = f"the variables are not checked: the module is {parameters.source}, and not read here"
        return Unread(reason="ModuleNotInline", message=message)
    names = {*apply.spec.variables, reserved}
    text = put(parameters.module, placeholders(parameters.module, names), dict.fromkeys(names, "x"))
    try:
        return await modules.read(text, parameters.inline_format or "HCL")
    except ModuleSyntaxError as error:
        first = str(error).strip().splitlines()[:1] or ["no reason given"]
        message = f"the variables are not checked: the module cannot be read here: {first[0][:200]}"
        return Unread(reason="ModuleNotReadable", message=message)


def variable_problems(
    module: ModuleText, parameters: WorkspaceParameters, varmap: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return what is wrong with the variables of a run; each names the variable and the rule, none a value.

    Args:
        module: What the module declares.
        parameters: What Terraform runs, and with which further inputs.
        varmap: Variables as they will be passed.
    """
    given = {*varmap, *(variable.key for variable in parameters.vars)}
    found = [
        *_undeclared(module, sorted(given - module.variables.keys())),
        *_missing(module, given, parameters),
        *_unfit(module.variables, varmap),
    ]
    if len(found) > MOST_PROBLEMS:
        found[MOST_PROBLEMS:] = [f"and {len(found) - MOST_PROBLEMS} more problems"]
    return tuple(found)


def _undeclared(module: ModuleText, names: Iterable[str]) -> Iterable[str]:
    for name in names:
        like = difflib.get_close_matches(name, module.variables, n=1)
        hint = f" (did you mean {like[0]!r}?)" if like else ""
        yield f"variable {name!r} is not declared by the module{hint}"


def _missing(module: ModuleText, given: set[str], parameters: WorkspaceParameters) -> Iterable[str]:
    # what files and arguments hold is not known here
    arguments = (argument.lstrip("-") for argument in parameters.plan_args)
    if parameters.var_files or any(argument.startswith("var") for argument in arguments):
        return
    environment = {variable.name.removeprefix(_ENVIRONMENT) for variable in parameters.env}
    for name, block in module.variables.items():
        if block.required and name not in given | environment:
            yield f"variable {name!r} is required by the module and has no value"


def _unfit(declared: Mapping[str, VariableBlock], varmap: Mapping[str, Any]) -> Iterable[str]:
    for name, value in varmap.items():
        block = declared.get(name)
        if block is None:
            continue
        if value is None and block.required and not block.nullable:
            yield f"variable {name!r} must not be null"
        elif wrong := mismatch(value, block.type):
            yield f"variable {name!r} has the wrong type: {wrong}"
