"""From a template, variables and values to the spec of a Workspace.

Rendering is a pure function of the template, the apply and the flavour; its result is hashed, and that hash
is the revision that statuses and annotations speak of.

Variables reach Terraform as data, in `varmap`: never as text that is spliced into a program. The `${name}`
placeholders of older templates are filled too, on parsed values in a single pass, so that no value is read
again and no order of keys matters; where a value would become part of the module's text it must be safe
there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from capt.api import (
    SecretReference,
    WorkspaceParameters,
    WorkspaceTemplateApplySpec,
    WorkspaceTemplateSpec,
)
from capt.controllers.manifest import to_manifest
from capt.controllers.workspace import Flavour, revision
from capt.controllers.workspace_template_apply.hcl_context import (
    PLACEHOLDER,
    address_placeholders,
    keeps_structure,
    placeholders,
    put,
    refusal,
)
from capt.controllers.workspace_template_apply.variable_check import Declarations, variable_problems
from capt.hcl import ModuleText

WORKSPACE_NAME: Final = "WORKSPACE_NAME"
"""Placeholder for the name of the Workspace; it is no variable."""

VARIABLES_INVALID: Final = "VariablesInvalid"
"""Reason of a refusal: the module does not take these variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The spec of a Workspace.

    Attributes:
        spec: As in a manifest.
        revision: 16 hexadecimal digits of the hash of `spec`.
    """

    spec: Mapping[str, Any]
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why there is no spec.

    Attributes:
        reason: One CamelCase word for programs.
        problems: What is wrong, for people; each names the variable or field and the rule.
    """

    reason: str
    problems: tuple[str, ...]

    @property
    def message(self) -> str:
        """All problems in one text."""
        return "; ".join(self.problems)


def render(
    *,
    template: WorkspaceTemplateSpec,
    apply: WorkspaceTemplateApplySpec,
    namespace: str,
    workspace_name: str,
    flavour: Flavour,
    declarations: Declarations,
    template_namespace: str,
    cross_namespace: bool,
) -> Rendered | Refused:
    """Return the spec of the Workspace that `apply` makes of `template`, or what stands in the way.

    Args:
        template: Spec of the WorkspaceTemplate.
        apply: Spec of the WorkspaceTemplateApply.
        namespace: Namespace of the apply.
        workspace_name: Name of the Workspace, for `${WORKSPACE_NAME}`.
        flavour: Flavour of the Workspace.
        declarations: What the module declares, if that is known.
        template_namespace: Namespace of the template; what the template itself names there it may name.
        cross_namespace: True lets the Workspace refer to Secrets and ConfigMaps of any namespace.
    """
    values = {**apply.variables, WORKSPACE_NAME: workspace_name}
    base = template.template.spec
    parameters = base.parameters
    module = _fill_module(parameters, values)
    if isinstance(module, Refused):
        return module
    reach = _Reach(
        flavour=flavour,
        namespace=namespace,
        template_namespace=template_namespace,
        unlimited=cross_namespace,
    )
    unfilled = to_manifest(parameters.model_copy(update={"module": "-"}))
    for_provider = fill(unfilled, values)
    for_provider["module"] = module
    # the template's own variables are defaults; typed values are the more precise statement of the two
    varmap = {**for_provider.get("varmap", {}), **apply.variables, **_plain_json(apply.values)}
    if isinstance(declarations, ModuleText):
        dispensable = {*apply.optional_variables, *_mentioned(template)}
        varmap = {
            name: value
            for name, value in varmap.items()
            if name in declarations.variables or name not in dispensable
        }
        if wrong := variable_problems(declarations, parameters, varmap):
            return Refused(reason=VARIABLES_INVALID, problems=wrong)
    for_provider["varmap"] = varmap
    if not varmap:
        del for_provider["varmap"]
    for listed in ("env", "varFiles"):
        for index, item in enumerate(for_provider.get(listed, ())):
            for name in sorted(item.keys() & {"configMapKeyRef", "secretKeyRef"}):
                path = f"forProvider.{listed}[{index}].{name}"
                item[name] = reach.localized(item[name], unfilled[listed][index][name], path)
    spec: dict[str, Any] = {
        "forProvider": for_provider,
        "providerConfigRef": _provider_config(fill(to_manifest(base.provider_config_ref), values), flavour),
        **_policies(
            base.deletion_policy, base.management_policies, flavour, retain=apply.retain_workspace_on_delete
        ),
    }
    if secret := apply.write_connection_secret_to_ref or _template_secret(template):
        path = "writeConnectionSecretToRef"
        named = to_manifest(secret)
        by_template = apply.write_connection_secret_to_ref is None
        spec[path] = reach.localized(fill(named, values), named if by_template else None, path)
    if reach.problems:
        return Refused(reason="ReferenceNotAllowed", problems=tuple(reach.problems))
    return Rendered(spec=spec, revision=revision(spec))


def fill(value: Any, values: Mapping[str, str]) -> Any:
    """Return `value` with every placeholder in its strings filled, in one pass.

    Keys are left alone, as are `$${name}` and names that `values` does not have. What is put in is not looked
    at again.
    """
    match value:
        case str():
            return _fill_text(value, values)
        case Mapping():
            return {key: fill(item, values) for key, item in value.items()}
        case list() | tuple():
            return [fill(item, values) for item in value]
        case _:
            return value


def orphaned(
    deletion_policy: str | None, management_policies: Sequence[str], flavour: Flavour
) -> dict[str, Any]:
    """Return the policies under which deleting the Workspace leaves what Terraform made."""
    return _policies(deletion_policy, management_policies, flavour, retain=True)


def _policies(
    deletion_policy: str | None, management_policies: Sequence[str], flavour: Flavour, *, retain: bool
) -> dict[str, Any]:
    orphan = retain or deletion_policy == "Orphan"
    policies: dict[str, Any] = {"managementPolicies": list(management_policies)}
    if flavour.has_deletion_policy:
        policies["deletionPolicy"] = "Orphan" if orphan else "Delete"
    elif orphan:
        granted = list(management_policies)
        everything = ["Observe", "Create", "Update", "LateInitialize"]
        policies["managementPolicies"] = (
            everything if "*" in granted else [policy for policy in granted if policy != "Delete"]
        )
    return policies


def _fill_text(text: str, values: Mapping[str, str]) -> str:
    def replacement(match: Any) -> str:
        escaped = match.start() > 0 and text[match.start() - 1] == "$"
        return match[0] if escaped else values.get(match[1], match[0])

    return PLACEHOLDER.sub(replacement, text)


def _fill_module(parameters: WorkspaceParameters, values: Mapping[str, str]) -> str | Refused:
    module = parameters.module
    inline = parameters.source == "Inline"
    places = placeholders(module, values) if inline else address_placeholders(module, values)
    if not places:
        return module
    reading = "declare a Terraform variable of that name instead: every variable is passed as one"
    problems = [
        f"variable {place.name!r} cannot be placed into the module: its value {rule}; {reading}"
        for place in places
        if (rule := refusal(values[place.name], place.context))
    ]
    if inline and not problems and not keeps_structure(module, places, values):
        concerned = ", ".join(sorted({repr(place.name) for place in places}))
        problems = [
            f"the values of {concerned} cannot be placed into the module: they would change its structure"
        ]
    if problems:
        return Refused(reason="UnsafeVariable", problems=tuple(dict.fromkeys(problems)))
    return put(module, places, values)


def _provider_config(reference: dict[str, Any], flavour: Flavour) -> dict[str, Any]:
    if flavour.provider_config_kind:
        return {"kind": reference.get("kind") or flavour.provider_config_kind, "name": reference["name"]}
    return {key: item for key, item in reference.items() if key != "kind"}


def _template_secret(template: WorkspaceTemplateSpec) -> SecretReference | None:
    return template.template.spec.write_connection_secret_to_ref or template.write_connection_secret_to_ref


def _mentioned(template: WorkspaceTemplateSpec) -> set[str]:
    """Return the names that stand in placeholders anywhere in the template."""
    return {match[1] for match in PLACEHOLDER.finditer(json.dumps(to_manifest(template)))}


@dataclass(slots=True, kw_only=True)
class _Reach:
    """Which namespaces a Workspace can refer to, and the references that went beyond."""

    flavour: Flavour
    namespace: str
    template_namespace: str
    unlimited: bool
    problems: list[str] = field(default_factory=list)

    def localized(
        self, reference: dict[str, Any], in_template: Mapping[str, Any] | None, path: str
    ) -> dict[str, Any]:
        """Return the reference as the flavour wants it: with a namespace, or within the Workspace's own.

        A cluster-scoped Workspace reads and writes Secrets with the provider's rights, wherever they are. So who
        names one in another namespace must have a say there: the author of a template has it in the template's
        namespace, for what the template names without placeholders.

        Args:
            reference: The reference, filled.
            in_template: The same as the template has it; None when it is the apply's own.
            path: The field, for people.
        """
        target = reference.get("namespace") or self.namespace
        if not self.flavour.own_namespace_only:
            authors_own = target == self.template_namespace and reference == in_template
            if target != self.namespace and not authors_own and not self.unlimited:
                self.problems.append(
                    f"{path} names namespace {target!r}; an apply of namespace {self.namespace!r} may refer to its "
                    "own, and to what its template names in the template's own namespace"
                )
            return {**reference, "namespace": target}
        if target != self.namespace:
            self.problems.append(
                f"{path} names namespace {target!r}, but a Workspace of {self.flavour.group} can refer to its "
                f"own namespace {self.namespace!r} only"
            )
        return {key: item for key, item in reference.items() if key != "namespace"}


def _plain_json(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _plain_json(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain_json(item) for item in value]
        case _:
            return value
