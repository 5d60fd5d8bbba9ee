"""What is wrong with a template that the CRD's schema cannot see."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from capt.api import WorkspaceParameters, WorkspaceTemplate
from capt.controllers.workspace import FLAVOURS, WORKSPACE_GROUP_ANNOTATION


def problems(template: WorkspaceTemplate) -> tuple[str, ...]:
    """Return what makes `template` unusable, each naming the field and the rule; empty for a good template."""
    try:
        parameters = template.spec.template.spec.parameters
    except ValueError as error:
        return (f"spec.template.spec: {error}",)
    found = [*_module(parameters), *_variables(parameters), *_environment(parameters)]
    group = template.metadata.annotations.get(WORKSPACE_GROUP_ANNOTATION, "")
    groups = [flavour.group for flavour in FLAVOURS]
    if group and group not in groups:
        found.append(f"annotation {WORKSPACE_GROUP_ANNOTATION}: {group!r} is none of {', '.join(groups)}")
    return tuple(found)


def _module(parameters: WorkspaceParameters) -> Iterable[str]:
    if not parameters.module.strip():
        yield "module must not be blank"
    elif parameters.source == "Inline" and parameters.inline_format == "JSON":
        try:
            content = json.loads(parameters.module)
        except ValueError as error:
            yield f"module must be JSON where inlineFormat is JSON: {error}"
        else:
            if not isinstance(content, dict):
                yield "module must be a JSON object where inlineFormat is JSON"


def _variables(parameters: WorkspaceParameters) -> Iterable[str]:
    for key in _repeated(variable.key for variable in parameters.vars):
        yield f"vars: {key!r} is given more than once"


def _environment(parameters: WorkspaceParameters) -> Iterable[str]:
    for name in _repeated(variable.name for variable in parameters.env):
        yield f"env: {name!r} is given more than once"
    for variable in parameters.env:
        sources = (variable.value, variable.config_map_key_ref, variable.secret_key_ref)
        if all(source is None for source in sources):
            yield f"env: {variable.name!r} needs one of value, configMapKeyRef and secretKeyRef"


def _repeated(keys: Iterable[str]) -> list[str]:
    return [key for key, count in Counter(keys).items() if count > 1]
