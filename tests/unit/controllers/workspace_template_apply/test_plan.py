"""What is done about a Workspace."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from capt.api import Workspace, WorkspaceTemplate, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.consent import ALLOWED_NAMESPACES_ANNOTATION
from capt.controllers.workspace import (
    EXTERNAL_NAME_ANNOTATION,
    FLAVOURS,
    RETAINED_ANNOTATION,
    STATUS_BEFORE_ANNOTATION,
    WORKSPACE_GROUP_ANNOTATION,
    WRITTEN_AT_ANNOTATION,
    Flavour,
)
from capt.controllers.workspace_template_apply.plan import (
    Blocked,
    Create,
    Found,
    Keep,
    Observation,
    Target,
    Update,
    aim,
    decide,
)
from capt.controllers.workspace_template_apply.variable_check import Declarations
from tests.support.chain import (
    NOW,
    TERRAFORM,
    TERRAFORM_NAMESPACED,
    UNREAD,
    apply_of,
    conditions,
    template,
    workspace,
)

ALL = frozenset(flavour.group for flavour in FLAVOURS)
NAME = names.workspace_name("default", "one")


def seen(
    apply: WorkspaceTemplateApply | None = None,
    base: WorkspaceTemplate | None = None,
    found: Workspace | None = None,
    *,
    served: frozenset[str] = ALL,
    flavour: Flavour = TERRAFORM,
    cross_namespace: bool = False,
    no_template: bool = False,
    unaccepted: Mapping[str, Any] | None = None,
    declarations: Declarations = UNREAD,
) -> Observation:
    return Observation(
        apply=apply or apply_of(),
        template=None if no_template else base or template(),
        declarations=declarations,
        cross_namespace=cross_namespace,
        served=served,
        found=Found(flavour=flavour, workspace=found) if found else None,
        unaccepted=unaccepted or {},
        now=NOW,
    )


def plan(observation: Observation) -> Any:
    target = aim(observation)
    return target if isinstance(target, Blocked) else decide(observation, target)


def made(apply: WorkspaceTemplateApply, base: WorkspaceTemplate | None = None, **metadata: Any) -> Workspace:
    """Return the Workspace that was made for an apply, with some metadata changed since."""
    created = plan(seen(apply, base))
    assert isinstance(created, Create)
    body = dict(created.body)
    merged = {**body["metadata"], "uid": "w1", "resourceVersion": "7", "generation": 1, **metadata}
    return workspace(body["spec"], metadata=merged, status=conditions("True", "True"))


def test_creation() -> None:
    """A Workspace is made with its marks in place: labels, owner, revision, and the name of its Terraform state (B-W19)."""
    apply = apply_of(metadata={"labels": {names.CLUSTER_NAME_LABEL: "prod"}})
    target = aim(seen(apply))
    assert isinstance(target, Target)
    action = decide(seen(apply), target)
    assert isinstance(action, Create)
    assert action.body == {
        "metadata": {
            "name": NAME,
            "labels": {
                names.WORKSPACE_APPLY_NAMESPACE_LABEL: "default",
                names.WORKSPACE_APPLY_NAME_LABEL: "one",
                names.WORKSPACE_APPLY_UID_LABEL: "uid-one",
                names.CLUSTER_NAME_LABEL: "prod",
            },
            "annotations": {
                names.WORKSPACE_APPLY_ANNOTATION: "default/one",
                names.WORKSPACE_REVISION_ANNOTATION: target.rendered.revision,
                EXTERNAL_NAME_ANNOTATION: NAME,
            },
        },
        "spec": target.rendered.spec,
    }


def test_namespaced_creation() -> None:
    """Where only namespaced Workspaces are served, they lie beside their apply."""
    action = plan(seen(served=frozenset({TERRAFORM_NAMESPACED.group})))
    assert action.body["metadata"]["namespace"] == "default"


def test_nothing_to_do() -> None:
    """A Workspace that is as it was made is left alone."""
    apply = apply_of(variables={"a": "1"})
    assert plan(seen(apply, found=made(apply))) == Keep()


def test_changed_variables() -> None:
    """A changed variable reaches the Workspace, with the traces by which a stale status is told."""
    action = plan(seen(apply_of(variables={"a": "2"}), found=made(apply_of(variables={"a": "1"}))))
    assert isinstance(action, Update)
    assert action.spec_changes
    assert action.patch["spec"] == {"forProvider": {"varmap": {"a": "2"}}}
    annotations = action.patch["metadata"]["annotations"]
    assert annotations.keys() == {
        names.WORKSPACE_REVISION_ANNOTATION,
        STATUS_BEFORE_ANNOTATION,
        WRITTEN_AT_ANNOTATION,
    }


def test_changed_template() -> None:
    """A changed template reaches the Workspaces that were made from it."""
    apply = apply_of()
    action = plan(seen(apply, template("# new"), made(apply)))
    assert action.patch["spec"] == {"forProvider": {"module": "# new"}}


def test_drift_in_spec() -> None:
    """What somebody else changed in the spec is changed back."""
    apply = apply_of(variables={"a": "1"})
    found = made(apply)
    spoilt = found.spec.for_provider.model_copy(update={"varmap": {"a": "9"}})
    spoiled = found.model_copy(update={"spec": found.spec.model_copy(update={"for_provider": spoilt})})
    assert plan(seen(apply, found=spoiled)).patch["spec"] == {"forProvider": {"varmap": {"a": "1"}}}


@pytest.mark.parametrize(
    ("unaccepted", "writes"),
    [
        ({"forProvider": {"planArgs": ["-x"]}}, False),
        ({"forProvider": {"planArgs": ["-y"]}}, True),
        ({}, True),
    ],
)
def test_fields_that_the_server_drops(unaccepted: dict[str, Any], writes: bool) -> None:
    """A field that the provider's CRD does not have is not written again and again; another one is."""
    apply = apply_of()
    observation = seen(apply, template(planArgs=["-x"]), made(apply, template()), unaccepted=unaccepted)
    assert ("spec" in plan(observation).patch) is writes


def test_drift_in_marks() -> None:
    """Marks that were lost are put back, without Terraform being expected to run."""
    apply = apply_of()
    labels = {key: value for key, value in made(apply).metadata.labels.items() if "uid" in key}
    action = plan(seen(apply, found=made(apply, labels={**labels, "other": "stays"})))
    assert not action.spec_changes
    assert action.patch == {
        "metadata": {
            "labels": {
                names.WORKSPACE_APPLY_NAMESPACE_LABEL: "default",
                names.WORKSPACE_APPLY_NAME_LABEL: "one",
            }
        }
    }


def test_retained_workspace() -> None:
    """A Workspace that a former apply of this name left is taken over, and is no longer retained (B-W20)."""
    former = made(apply_of(metadata={"uid": "uid-former"}))
    annotations = {**former.metadata.annotations, RETAINED_ANNOTATION: "2025-01-01T00:00:00+00:00"}
    found = former.model_copy(
        update={"metadata": former.metadata.model_copy(update={"annotations": annotations})}
    )
    action = plan(seen(found=found))
    assert isinstance(action, Update)
    assert action.adopts
    assert action.patch["metadata"]["annotations"] == {RETAINED_ANNOTATION: None}
    assert action.patch["metadata"]["labels"] == {names.WORKSPACE_APPLY_UID_LABEL: "uid-one"}


def test_workspace_of_the_go_original() -> None:
    """A Workspace that this apply's status names is taken over under its own name and its own Terraform state."""
    apply = apply_of(status={"workspaceName": "legacy"})
    found = workspace(metadata={"name": "legacy", "annotations": {EXTERNAL_NAME_ANNOTATION: "legacy"}})
    target = aim(seen(apply, found=found))
    assert isinstance(target, Target)
    assert target.name == "legacy"
    action = decide(seen(apply, found=found), target)
    assert isinstance(action, Update)
    assert action.adopts
    assert "spec" not in action.patch
    assert EXTERNAL_NAME_ANNOTATION not in action.patch["metadata"]["annotations"]


def test_foreign_workspace() -> None:
    """A Workspace of that name that nobody marked is somebody else's, and is never touched."""
    action = plan(seen(found=workspace(metadata={"name": NAME})))
    assert isinstance(action, Blocked)
    assert action.reason == "WorkspaceConflict"
    assert NAME in action.message


def test_workspace_on_its_way_out() -> None:
    """A Workspace that is being deleted is not written any more."""
    apply = apply_of(variables={"a": "2"})
    found = made(apply_of(), deletionTimestamp="2026-01-01T11:00:00Z")
    assert plan(seen(apply, found=found)) == Keep()


OTHER = {"templateRef": {"name": "small", "namespace": "platform"}}


@pytest.mark.parametrize(
    ("spec", "base", "options", "reason"),
    [
        ({}, None, {"no_template": True}, "TemplateNotFound"),
        ({}, template(" "), {}, "TemplateInvalid"),
        ({}, template(metadata={"deletionTimestamp": "2026-01-01T11:00:00Z"}), {}, "TemplateDeleting"),
        ({}, None, {"served": frozenset()}, "WorkspaceKindMissing"),
        (
            {},
            template(metadata={"annotations": {WORKSPACE_GROUP_ANNOTATION: "opentofu.upbound.io"}}),
            {"served": frozenset({"tf.upbound.io"})},
            "WorkspaceKindMissing",
        ),
        ({"variables": {"v": '"'}}, template('a = "${v}"'), {}, "UnsafeVariable"),
        (OTHER, None, {}, "TemplateNotAllowed"),
        (OTHER, None, {"no_template": True}, "TemplateNotAllowed"),
        (OTHER, None, {"no_template": True, "cross_namespace": True}, "TemplateNotFound"),
        (
            OTHER,
            template(metadata={"annotations": {ALLOWED_NAMESPACES_ANNOTATION: "a, b"}}),
            {},
            "TemplateNotAllowed",
        ),
    ],
)
def test_what_stands_in_the_way(
    spec: dict[str, Any], base: WorkspaceTemplate | None, options: dict[str, Any], reason: str
) -> None:
    """Nothing is written while the template cannot be used, and the reason says why."""
    action = plan(seen(apply_of(**spec), base, **options))
    assert isinstance(action, Blocked)
    assert action.reason == reason


@pytest.mark.parametrize("allowed", ["default", "a, default,b", "*"])
def test_consent(allowed: str) -> None:
    """A template of another namespace can be used where it names the apply's namespace, or all."""
    base = template(metadata={"annotations": {ALLOWED_NAMESPACES_ANNOTATION: allowed}})
    assert isinstance(plan(seen(apply_of(**OTHER), base)), Create)


def test_consent_is_not_needed_where_the_manager_says_so() -> None:
    """The manager's flag lets every template be used from everywhere."""
    assert isinstance(plan(seen(apply_of(**OTHER), cross_namespace=True)), Create)


def test_flavour_stays() -> None:
    """A Workspace keeps its flavour when another one comes to be preferred: it holds the state."""
    apply = apply_of()
    base = template(metadata={"annotations": {WORKSPACE_GROUP_ANNOTATION: "opentofu.upbound.io"}})
    assert plan(seen(apply, base, made(apply))) == Keep()


def test_updates_settle() -> None:
    """After an update there is nothing more to do."""
    apply = apply_of(variables={"a": "2"})
    action = plan(seen(apply, found=made(apply_of(variables={"a": "1"}))))
    found = made(apply)
    annotations = {**found.metadata.annotations, **action.patch["metadata"]["annotations"]}
    written = made(apply, annotations=annotations)
    later = seen(apply, found=written)
    assert (
        decide(
            Observation(
                apply=apply,
                template=later.template,
                declarations=UNREAD,
                cross_namespace=False,
                served=ALL,
                found=later.found,
                unaccepted={},
                now=NOW + timedelta(hours=1),
            ),
            aim(later),  # type: ignore[arg-type] - a template that can be used
        )
        == Keep()
    )
