"""A template, variables and values make a Workspace's spec."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capt.api import WorkspaceTemplate
from capt.controllers.workspace import Flavour
from capt.controllers.workspace_template_apply.render import Refused, Rendered, render
from capt.controllers.workspace_template_apply.variable_check import Declarations
from capt.hcl import parse
from tests.support.chain import (
    MODULE,
    TERRAFORM,
    TERRAFORM_NAMESPACED,
    TOFU,
    TOFU_NAMESPACED,
    UNREAD,
    apply_of,
    template,
)

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def outcome(
    base: WorkspaceTemplate,
    *,
    flavour: Flavour = TERRAFORM,
    declarations: Declarations = UNREAD,
    template_namespace: str = "default",
    cross_namespace: bool = False,
    **spec: Any,
) -> Rendered | Refused:
    apply = apply_of(**spec)
    return render(
        template=base.spec,
        apply=apply.spec,
        namespace="default",
        workspace_name="w-1",
        flavour=flavour,
        declarations=declarations,
        template_namespace=template_namespace,
        cross_namespace=cross_namespace,
    )


def spec_of(base: WorkspaceTemplate, **kwargs: Any) -> dict[str, Any]:
    rendered = outcome(base, **kwargs)
    assert isinstance(rendered, Rendered), rendered
    return dict(rendered.spec)


def refused(base: WorkspaceTemplate, **kwargs: Any) -> Refused:
    found = outcome(base, **kwargs)
    assert isinstance(found, Refused), found
    return found


def module_of(base: WorkspaceTemplate, **variables: str) -> str:
    module: str = spec_of(base, variables=variables)["forProvider"]["module"]
    return module


def test_plain() -> None:
    """Without variables the template's spec is the Workspace's."""
    assert spec_of(template()) == {
        "forProvider": {"source": "Inline", "module": MODULE},
        "providerConfigRef": {"name": "default"},
        "deletionPolicy": "Delete",
        "managementPolicies": ["*"],
    }


def test_short_form() -> None:
    """Seed 001's `module` is an inline module."""
    base = WorkspaceTemplate.model_validate(
        {"metadata": {"name": "small"}, "spec": {"template": {"spec": {"module": MODULE}}}}
    )
    assert spec_of(base)["forProvider"] == {"source": "Inline", "module": MODULE}


def test_precedence_of_variables() -> None:
    """The apply's values win over its variables, and both over the template's own."""
    base = template(varmap={"a": "template", "b": "template", "c": "template"})
    spec = spec_of(base, variables={"b": "text", "c": "text"}, values={"c": {"typed": True}})
    assert spec["forProvider"]["varmap"] == {"a": "template", "b": "text", "c": {"typed": True}}


@given(
    variables=st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(), max_size=4),
    values=st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), JSON_VALUES, max_size=4),
)
def test_variables_arrive_as_they_are(variables: dict[str, str], values: dict[str, Any]) -> None:
    """Whatever JSON goes in as a variable comes out as the same JSON, types and all (B-W12)."""
    varmap = spec_of(template(), variables=variables, values=values)["forProvider"].get("varmap", {})
    assert json.dumps(varmap, sort_keys=True) == json.dumps({**variables, **values}, sort_keys=True)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${name}", "n"),
        ("${WORKSPACE_NAME}-state", "w-1-state"),
        ("a${name}b${other}", "anbo"),
        ("$${name}", "$${name}"),
        ("${unknown}", "${unknown}"),
        ("${ name }", "${ name }"),
        ("$name", "$name"),
    ],
)
def test_placeholders(text: str, filled: str) -> None:
    """Placeholders are filled in any string of the template; escapes and unknown names stay."""
    base = template(
        env=[{"name": "E", "value": text}],
        planArgs=[text],
        varmap={"deep": [{"er": text}]},
        spec={"providerConfigRef": {"name": text}},
    )
    spec = spec_of(base, variables={"name": "n", "other": "o"})
    parameters = spec["forProvider"]
    assert parameters["env"][0]["value"] == filled
    assert parameters["planArgs"] == [filled]
    assert parameters["varmap"]["deep"] == [{"er": filled}]
    assert spec["providerConfigRef"]["name"] == filled


def test_single_pass() -> None:
    """What is put in is not looked at again, so the order of variables does not matter."""
    base = template(planArgs=["${a}${b}"])
    spec = spec_of(base, variables={"a": "${b}", "b": "${a}"})
    assert spec["forProvider"]["planArgs"] == ["${b}${a}"]


@given(st.text())
def test_any_value_outside_of_the_module(value: str) -> None:
    """Outside of the module's text every value is safe: it cannot leave the string that it is in."""
    base = template(env=[{"name": "E", "value": "<${v}>"}])
    assert spec_of(base, variables={"v": value})["forProvider"]["env"][0]["value"] == f"<{value}>"


def test_placeholders_in_the_module() -> None:
    """A safe value is put into the module's text, and reaches Terraform as a variable too."""
    base = template('resource "x" "${name}" {\n  count = ${n}\n}\n')
    spec = spec_of(base, variables={"name": "web", "n": "2"})
    assert spec["forProvider"]["module"] == 'resource "x" "web" {\n  count = 2\n}\n'
    assert spec["forProvider"]["varmap"] == {"name": "web", "n": "2"}


def test_hcl_is_left_alone() -> None:
    """Interpolations of the module itself are not placeholders, even under a variable's name."""
    module = 'locals { a = [for tags in var.x : "${tags}"], b = "${var.tags}", c = "$${tags}" } # ${tags}'
    assert module_of(template(module), tags="t") == module


INJECTIONS = [
    '"',
    '"; x = file("/etc/passwd")',
    'a" }\nresource "null_resource" "x" {\n  provisioner "local-exec" { command = "id" }\n}\n#',
    "${file(0)}",
    "%{ if true }x%{ endif }",
    "\\",
    "a\\",
    "\n",
    "\r\n",
    "{file(0)}",
    "a$",
    "a%",
    "a\x00b",
    "\u2028",
]


@pytest.mark.parametrize("value", INJECTIONS)
@pytest.mark.parametrize(
    "module", ['a = "${v}"', 'a = "x${v}y"', "a = <<EOT\n${v}\nEOT\n", 'a = "${upper("${v}")}"', "a = ${v}"]
)
def test_injections(module: str, value: str) -> None:
    """A value that could leave its place in the module is refused, with the variable's name and the rule."""
    found = refused(template(module), variables={"v": value})
    assert found.reason == "UnsafeVariable"
    assert found.message.startswith("variable 'v' cannot be placed into the module: its value ")


@pytest.mark.parametrize(
    ("module", "values"),
    [
        ("a = <<EOT\n${v}\nx = 1\nEOT\n", {"v": "EOT"}),
        ("a = <<EOT\n${v}${w}\nx = 1\nEOT\n", {"v": "EO", "w": "T"}),
        ('a = "%${v}{b}"', {"v": ""}),
    ],
)
def test_injections_by_combination(module: str, values: dict[str, str]) -> None:
    """Values that are harmless one by one are refused where they would change what their surroundings mean."""
    found = refused(template(module), variables=values)
    assert (found.reason, "structure" in found.message) == ("UnsafeVariable", True)


@pytest.mark.parametrize("value", INJECTIONS)
def test_dangerous_values_as_variables(value: str) -> None:
    """The same values are welcome as variables: they are data there."""
    assert spec_of(template(), variables={"v": value})["forProvider"]["varmap"] == {"v": value}


def test_module_address() -> None:
    """In a remote module's address placeholders are filled, under the same rules."""
    base = template("git::https://example.org/m.git?ref=${ref}", source="Remote")
    assert module_of(base, ref="v1.2") == "git::https://example.org/m.git?ref=v1.2"
    assert refused(base, variables={"ref": 'v1"'}).reason == "UnsafeVariable"


SECRETS = {
    "apply": {"name": "from-apply", "namespace": "default"},
    "inner": {"name": "from-inner", "namespace": "default"},
    "outer": {"name": "from-outer", "namespace": "default"},
}


@pytest.mark.parametrize(
    ("given_at", "name"),
    [
        ({"apply", "inner", "outer"}, "from-apply"),
        ({"inner", "outer"}, "from-inner"),
        ({"outer"}, "from-outer"),
    ],
)
def test_precedence_of_secrets(given_at: set[str], name: str) -> None:
    """The apply's connection secret wins over the Workspace's in the template, and that over the template's own (B-W17)."""
    base = template(spec={"writeConnectionSecretToRef": SECRETS["inner"]} if "inner" in given_at else {})
    outer = {"writeConnectionSecretToRef": SECRETS["outer"]} if "outer" in given_at else {}
    base = WorkspaceTemplate.model_validate(
        {**base.model_dump(by_alias=True), "spec": {**base.spec.model_dump(by_alias=True), **outer}}
    )
    own = {"writeConnectionSecretToRef": SECRETS["apply"]} if "apply" in given_at else {}
    assert spec_of(base, **own)["writeConnectionSecretToRef"] == {"name": name, "namespace": "default"}


class TestFlavours:
    """What differs between the flavours, and nothing else does."""

    def base(self, namespace: str | None = None) -> WorkspaceTemplate:
        reference = {"name": "r", "key": "k", **({"namespace": namespace} if namespace else {})}
        return template(
            env=[{"name": "E", "secretKeyRef": reference}],
            varFiles=[{"source": "ConfigMapKey", "configMapKeyRef": reference}],
            spec={
                "providerConfigRef": {"name": "aws"},
                "publishConnectionDetailsTo": {"name": "old"},
                "writeConnectionSecretToRef": {
                    key: value for key, value in reference.items() if key != "key"
                },
            },
        )

    @pytest.mark.parametrize("flavour", [TERRAFORM, TOFU], ids=lambda flavour: flavour.group)
    def test_cluster_scoped(self, flavour: Flavour) -> None:
        """A cluster-scoped Workspace names the namespace of everything that it refers to."""
        spec = spec_of(self.base(), flavour=flavour)
        assert spec["writeConnectionSecretToRef"] == {"name": "r", "namespace": "default"}
        assert spec["forProvider"]["env"][0]["secretKeyRef"]["namespace"] == "default"
        assert spec["forProvider"]["varFiles"][0]["configMapKeyRef"]["namespace"] == "default"
        assert spec["providerConfigRef"] == {"name": "aws"}
        assert spec["deletionPolicy"] == "Delete"
        assert "publishConnectionDetailsTo" not in spec

    @pytest.mark.parametrize(
        "flavour", [TERRAFORM_NAMESPACED, TOFU_NAMESPACED], ids=lambda flavour: flavour.group
    )
    @pytest.mark.parametrize("namespace", [None, "default"])
    def test_namespaced(self, flavour: Flavour, namespace: str | None) -> None:
        """A namespaced Workspace refers to its own namespace without saying so, and has no deletion policy."""
        spec = spec_of(self.base(namespace), flavour=flavour)
        assert spec["writeConnectionSecretToRef"] == {"name": "r"}
        assert spec["forProvider"]["env"][0]["secretKeyRef"] == {"name": "r", "key": "k"}
        assert spec["providerConfigRef"] == {"kind": "ClusterProviderConfig", "name": "aws"}
        assert "deletionPolicy" not in spec
        assert "publishConnectionDetailsTo" not in spec

    def test_beyond_the_namespace(self) -> None:
        """A namespaced Workspace cannot refer to another namespace; each such reference is named."""
        found = refused(self.base("other"), flavour=TERRAFORM_NAMESPACED)
        assert found.reason == "ReferenceNotAllowed"
        assert [problem.split(" names ")[0] for problem in found.problems] == [
            "forProvider.env[0].secretKeyRef",
            "forProvider.varFiles[0].configMapKeyRef",
            "writeConnectionSecretToRef",
        ]

    def test_kind_of_the_provider_configuration(self) -> None:
        """A template may name the kind of configuration that the namespaced flavours use."""
        base = template(spec={"providerConfigRef": {"name": "aws", "kind": "ProviderConfig"}})
        assert spec_of(base, flavour=TERRAFORM_NAMESPACED)["providerConfigRef"]["kind"] == "ProviderConfig"
        assert spec_of(base, flavour=TERRAFORM)["providerConfigRef"] == {"name": "aws"}

    @pytest.mark.parametrize(
        ("flavour", "granted", "policies"),
        [
            (TERRAFORM, ["*"], {"deletionPolicy": "Orphan", "managementPolicies": ["*"]}),
            (
                TERRAFORM_NAMESPACED,
                ["*"],
                {"managementPolicies": ["Observe", "Create", "Update", "LateInitialize"]},
            ),
            (TERRAFORM_NAMESPACED, ["Observe", "Delete"], {"managementPolicies": ["Observe"]}),
        ],
    )
    def test_retention(self, flavour: Flavour, granted: list[str], policies: dict[str, Any]) -> None:
        """An infrastructure to be retained is so from the start, whoever deletes the Workspace."""
        base = template(spec={"managementPolicies": granted})
        spec = spec_of(base, flavour=flavour, retainWorkspaceOnDelete=True)
        found = {name: spec[name] for name in ("deletionPolicy", "managementPolicies") if name in spec}
        assert found == policies


def test_revision() -> None:
    """The revision changes exactly when the spec does (B-W18)."""

    def revision(**spec: Any) -> str:
        rendered = outcome(template(), **spec)
        assert isinstance(rendered, Rendered)
        return rendered.revision

    first = revision(variables={"a": "1", "b": "2"})
    assert first == revision(variables={"b": "2", "a": "1"})
    assert first == revision(variables={"a": "1", "b": "2"}, waitForSecrets=[{"name": "s"}])
    assert first != revision(variables={"a": "1", "b": "3"})
    assert first != revision(values={"a": 1, "b": "2"})


@pytest.mark.parametrize(
    ("namespace", "name", "options", "allowed"),
    [
        (None, "s", {}, True),
        ("default", "s", {}, True),
        ("shared", "s", {"template_namespace": "shared"}, True),
        ("shared", "s", {}, False),
        ("shared", "${v}", {"template_namespace": "shared"}, False),
        ("${ns}", "s", {"template_namespace": "shared"}, False),
        ("kube-system", "s", {"cross_namespace": True}, True),
    ],
)
def test_secrets_of_other_namespaces(
    namespace: str | None, name: str, options: dict[str, Any], allowed: bool
) -> None:
    """Who names a Secret elsewhere must have a say there: a template has it in its own namespace, for its own words."""
    reference = {"name": name, "key": "k", **({"namespace": namespace} if namespace else {})}
    base = template(env=[{"name": "TOKEN", "secretKeyRef": reference}])
    found = outcome(base, variables={"v": "x", "ns": "shared"}, **options)
    assert isinstance(found, Rendered) == allowed
    if not allowed:
        assert isinstance(found, Refused)
        assert found.reason == "ReferenceNotAllowed"


def test_a_connection_secret_elsewhere() -> None:
    """An apply cannot have its outputs, or somebody else's Secret, written into a namespace that is not its own."""
    found = outcome(template(), writeConnectionSecretToRef={"name": "s", "namespace": "kube-system"})
    assert isinstance(found, Refused)
    assert "writeConnectionSecretToRef names namespace 'kube-system'" in found.message


def test_what_controllers_add_is_passed_where_it_is_declared() -> None:
    """Optional variables, and those that fill placeholders, are dropped where the module does not declare them."""
    module = parse('variable "size" {}\nvariable "tags" {}\n', "HCL")
    base = template('variable "size" {}\nvariable "tags" {}\noutput "x" { value = "${name}" }')
    given = {"values": {"tags": {}, "labels": {}, "size": 1}, "variables": {"name": "n"}}
    found = outcome(base, declarations=module, optionalVariables=["tags", "labels"], **given)
    assert isinstance(found, Rendered)
    assert found.spec["forProvider"]["varmap"] == {"tags": {}, "size": 1}
    strict = outcome(base, declarations=module, **given)
    assert isinstance(strict, Refused)
    assert strict.reason == "VariablesInvalid"
