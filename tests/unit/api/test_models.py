from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from capt.api import (
    KINDS,
    WORKSPACE_FLAVOURS,
    ApiObject,
    CaptMachine,
    CaptMachineDeployment,
    CaptMachineSet,
    CaptMachineSpec,
    CaptMachineStatus,
    Condition,
    Event,
    InvolvedObject,
    LabelSelector,
    LabelSelectorRequirement,
    Lease,
    LeaseSpec,
    NodeGroupReference,
    ObjectMeta,
    ObjectReference,
    OwnerReference,
    Secret,
    Workspace,
    WorkspaceTemplate,
    WorkspaceTemplateApply,
)
from capt.runtime.selector import parse_selector

SEEDS = sorted((Path(__file__).parents[2] / "fixtures" / "seeds").glob("*.yaml"))
BY_KIND = {kind.RESOURCE.kind: kind for kind in KINDS}


def wire(model: ApiObject) -> dict:
    return model.model_dump(by_alias=True, exclude_none=True, mode="json")


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.stem)
def test_seed_manifest_survives_a_round_trip(path):
    """What a seed's manifest says is all there after reading it into a model and writing it again."""
    manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    model = BY_KIND[manifest["kind"]]

    written = wire(model.model_validate_json(json.dumps(manifest)))

    def contains(actual, expected):
        if isinstance(expected, dict):
            return all(contains(actual.get(key), value) for key, value in expected.items())
        return actual == expected

    assert contains(written, manifest)
    assert wire(model.model_validate(written)) == written


def test_a_newer_server_does_not_break_reading():
    """Fields that the model does not know are ignored, at every level."""
    machine = CaptMachine.model_validate_json(
        b'{"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "CaptMachine", "new": 1,'
        b' "metadata": {"name": "a", "managedFields": [], "new": 1},'
        b' "spec": {"workspaceTemplateRef": {"name": "t", "new": 1}, "new": 1}, "status": {"new": 1}}'
    )

    assert machine.metadata.name == "a"
    assert machine.spec.workspace_template_ref == ObjectReference(name="t")
    assert machine.status == CaptMachineStatus()


def test_the_item_of_a_list_is_readable():
    """Items of a list carry neither apiVersion nor kind; the model fills them in."""
    secret = Secret.model_validate_json(b'{"metadata": {"name": "a"}, "data": {"k": "dg=="}}')

    assert (secret.api_version, secret.kind, secret.data) == ("v1", "Secret", {"k": b"v"})


def test_another_kind_is_refused():
    """A CaptMachineSet is not taken for a CaptMachine."""
    with pytest.raises(ValidationError, match="kind"):
        CaptMachine.model_validate(
            {"kind": "CaptMachineSet", "spec": {"workspaceTemplateRef": {"name": "t"}}}
        )


def test_models_are_frozen():
    """Nobody can change what the cache hands out."""
    machine = CaptMachine(spec=CaptMachineSpec(workspace_template_ref=ObjectReference(name="t")))

    with pytest.raises(ValidationError, match="frozen"):
        machine.status.ready = True


def test_empty_collections_are_not_written():
    """A16: A child's manifest says only what its parent says: no empty maps, no empty lists, no nulls."""
    machine = CaptMachine(
        metadata=ObjectMeta(name="a", owner_references=()),
        spec=CaptMachineSpec(
            node_group_ref=NodeGroupReference(name="g"),
            workspace_template_ref=ObjectReference(name="t"),
            instance_type="t3.medium",
        ),
    )

    assert wire(machine) == {
        "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1",
        "kind": "CaptMachine",
        "metadata": {"name": "a"},
        "spec": {
            "nodeGroupRef": {"name": "g"},
            "workspaceTemplateRef": {"name": "t"},
            "instanceType": "t3.medium",
        },
        "status": {"ready": False},
    }


def test_values_of_any_type_pass_through():
    """`values` keeps types and nulls, which strings cannot carry."""
    values = {"count": 3, "ratio": 0.5, "flag": False, "list": [1, {"a": None}], "nothing": None}
    apply = WorkspaceTemplateApply.model_validate(
        {"metadata": {"name": "a"}, "spec": {"templateRef": {"name": "t"}, "values": values}}
    )

    assert wire(apply)["spec"]["values"] == values


def test_deployment_defaults():
    """What a manifest leaves out means what the CRD documents."""
    spec = CaptMachineDeployment.model_validate(
        {"spec": {"template": {"spec": {"workspaceTemplateRef": {"name": "t"}}}}}
    ).spec

    assert spec.replicas == 1
    assert spec.strategy.type == "RollingUpdate"
    assert spec.strategy.rolling_update is not None
    assert (spec.strategy.rolling_update.max_surge, spec.strategy.rolling_update.max_unavailable) == (1, 0)
    assert (spec.min_ready_seconds, spec.revision_history_limit, spec.progress_deadline_seconds) == (
        0,
        10,
        600,
    )
    assert not spec.paused
    assert spec.selector is None


@pytest.mark.parametrize("value", [2, "25%"])
def test_surge_is_a_number_or_a_percentage(value):
    """A number stays a number and a percentage stays text, on the way in and on the way out."""
    manifest = {
        "spec": {
            "template": {"spec": {"workspaceTemplateRef": {"name": "t"}}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": value}},
        }
    }
    deployment = CaptMachineDeployment.model_validate(manifest)

    assert wire(deployment)["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == value


@pytest.mark.parametrize(
    "spec",
    [
        {"module": "output"},
        {"forProvider": {"source": "Inline", "module": "output"}},
    ],
    ids=["short", "long"],
)
def test_both_forms_of_a_template_mean_the_same(spec):
    """Seed 001's `template.spec.module` means an inline `forProvider.module`."""
    template = WorkspaceTemplate.model_validate({"spec": {"template": {"spec": spec}}})

    parameters = template.spec.template.spec.parameters

    assert (parameters.source, parameters.module) == ("Inline", "output")


def test_a_template_without_a_module_has_no_parameters():
    """A template in neither form, which only a server without our CRD stores, is told apart from an empty module."""
    template = WorkspaceTemplate.model_validate({"spec": {"template": {"spec": {}}}})

    with pytest.raises(ValueError, match="exactly one of module and forProvider"):
        _ = template.spec.template.spec.parameters


@pytest.mark.parametrize("flavour", WORKSPACE_FLAVOURS, ids=lambda flavour: flavour.group)
def test_every_flavour_of_workspace_is_readable(flavour):
    """One model reads all four flavours and keeps which one it was."""
    workspace = Workspace.model_validate(
        {
            "apiVersion": flavour.api_version,
            "kind": "Workspace",
            "metadata": {"name": "a"},
            "spec": {"forProvider": {"source": "Flux", "module": "GitRepository::a/b"}},
        }
    )

    assert wire(workspace)["apiVersion"] == flavour.api_version
    assert flavour.namespaced == (".m." in flavour.group)


def test_a_newer_provider_does_not_break_reading():
    """Unknown sources, formats and policies of somebody's Workspace are read as they are."""
    workspace = Workspace.model_validate(
        {
            "spec": {
                "forProvider": {"source": "Quantum", "module": "m", "inlineFormat": "TOML"},
                "deletionPolicy": "Archive",
                "managementPolicies": ["Dream"],
            }
        }
    )

    assert workspace.spec.for_provider.source == "Quantum"
    assert workspace.spec.management_policies == ("Dream",)


def test_paused_workspace_stays_paused():
    """An empty list of management policies pauses a Workspace; it is not the same as none given."""
    spec = {"forProvider": {"source": "Inline", "module": "m"}}

    paused = Workspace.model_validate({"spec": {**spec, "managementPolicies": []}})
    default = Workspace.model_validate({"spec": spec})

    assert wire(paused)["spec"]["managementPolicies"] == []
    assert wire(default)["spec"]["managementPolicies"] == ["*"]


def test_irregular_names_on_the_wire():
    """Names with capital abbreviations are spelled as the providers spell them."""
    workspace = Workspace.model_validate(
        {"spec": {"forProvider": {"source": "Inline", "module": "m", "enableTerraformCLILogging": True}}}
    )

    assert workspace.spec.for_provider.enable_terraform_cli_logging is True
    assert wire(workspace)["spec"]["forProvider"]["enableTerraformCLILogging"] is True


def test_times_are_utc_and_whole_seconds():
    """A condition's time is written as metav1.Time, and is equal to itself after a round trip."""
    tokyo = timezone(timedelta(hours=9))
    condition = Condition(
        type="Ready",
        status="True",
        reason="Ready",
        last_transition_time=datetime(2026, 1, 2, 9, 0, 0, 123456, tzinfo=tokyo),
    )

    assert condition.model_dump(by_alias=True, mode="json")["lastTransitionTime"] == "2026-01-02T00:00:00Z"
    assert Condition.model_validate_json(condition.model_dump_json(by_alias=True)) == condition


def test_micro_times_have_six_digits():
    """A Lease's times have six digits even when they are zero, or the API server refuses them."""
    lease = Lease(spec=LeaseSpec(renew_time=datetime(2026, 1, 1, tzinfo=UTC)))

    assert wire(lease)["spec"] == {"renewTime": "2026-01-01T00:00:00.000000Z"}
    assert Lease.model_validate_json(lease.model_dump_json(by_alias=True)) == lease


def test_a_time_without_zone_is_refused():
    """A naive time means a different instant on every machine."""
    with pytest.raises(ValidationError, match="time zone"):
        LeaseSpec(renew_time=datetime(2026, 1, 1))  # noqa: DTZ001


def test_secret_data_is_bytes_in_memory_and_base64_on_the_wire():
    """Bytes that are no text survive."""
    secret = Secret(data={"key": b"\xff\x00"})

    assert wire(secret)["data"] == {"key": "/wA="}
    assert Secret.model_validate_json(secret.model_dump_json(by_alias=True)) == secret


def test_secret_data_that_is_not_base64_is_refused():
    """A broken Secret is an error, not silently something else."""
    with pytest.raises(ValidationError, match="not base64"):
        Secret.model_validate({"data": {"key": "?"}})


def test_secret_data_does_not_show():
    """The repr of a Secret, which ends up in logs and tracebacks, keeps its data to itself."""
    assert "hunter2" not in repr(Secret(data={"password": b"hunter2"}))


def test_event_names_its_object():
    """An event is written as core/v1 has it."""
    event = Event(
        metadata=ObjectMeta(name="a.1", namespace="n"),
        involved_object=InvolvedObject(kind="CaptMachine", name="a"),
        type="Normal",
        reason="Ready",
        count=1,
    )

    assert wire(event) == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "a.1", "namespace": "n"},
        "involvedObject": {"kind": "CaptMachine", "name": "a"},
        "type": "Normal",
        "reason": "Ready",
        "count": 1,
        "source": {},
    }


def test_the_controlling_owner():
    """Of several owners at most one controls."""
    bystander = OwnerReference(api_version="v1", kind="ConfigMap", name="c", uid="1")
    controller = OwnerReference(api_version="v1", kind="Secret", name="s", uid="2", controller=True)

    assert ObjectMeta(owner_references=(bystander, controller)).controller == controller
    assert ObjectMeta(owner_references=(bystander,)).controller is None


def requirement(operator, *values):
    return LabelSelector(
        match_expressions=(LabelSelectorRequirement(key="a", operator=operator, values=values),)
    )


@pytest.mark.parametrize(
    ("selector", "selects_1", "selects_2", "selects_none", "text"),
    [
        (LabelSelector(), True, True, True, ""),
        (LabelSelector(match_labels={"a": "1"}), True, False, False, "a=1"),
        (requirement("In", "1", "3"), True, False, False, "a in (1,3)"),
        (requirement("NotIn", "1", "3"), False, True, True, "a notin (1,3)"),
        (requirement("Exists"), True, True, False, "a"),
        (requirement("DoesNotExist"), False, False, True, "!a"),
    ],
    ids=["empty", "labels", "in", "notin", "exists", "absent"],
)
def test_selector(selector, selects_1, selects_2, selects_none, text):
    """B-M07: A selector selects what the API server would select, and its text form says the same."""
    assert [selector.matches({"a": "1"}), selector.matches({"a": "2"}), selector.matches({"b": "1"})] == [
        selects_1,
        selects_2,
        selects_none,
    ]
    assert str(selector) == text


def test_selector_needs_all_of_its_requirements():
    """Labels and expressions are joined by and, and written in a stable order."""
    selector = LabelSelector(
        match_labels={"b": "2", "a": "1"},
        match_expressions=(LabelSelectorRequirement(key="c", operator="Exists"),),
    )

    assert selector.matches({"a": "1", "b": "2", "c": ""})
    assert not selector.matches({"a": "1", "b": "2"})
    assert not selector.matches({"a": "1", "c": ""})
    assert str(selector) == "a=1,b=2,c"


keys = st.sampled_from(["a", "b", "example.com/c"])
label_values = st.sampled_from(["", "1", "2", "x-y"])
requirements = st.one_of(
    st.builds(
        LabelSelectorRequirement,
        key=keys,
        operator=st.sampled_from(["In", "NotIn"]),
        values=st.lists(label_values, min_size=1, max_size=3).map(tuple),
    ),
    st.builds(LabelSelectorRequirement, key=keys, operator=st.sampled_from(["Exists", "DoesNotExist"])),
)
selectors = st.builds(
    LabelSelector,
    match_labels=st.dictionaries(keys, label_values, max_size=2),
    match_expressions=st.lists(requirements, max_size=2).map(tuple),
)


@given(selectors, st.dictionaries(keys, label_values))
def test_text_form_of_a_selector_means_the_same(selector, labels):
    """Who reads `status.selector`, an autoscaler for instance, selects exactly what the selector selects."""
    assert parse_selector(str(selector)).matches(labels) == selector.matches(labels)


def test_status_is_never_missing():
    """An object that no controller has seen yet has an empty status, not none."""
    fresh = CaptMachineSet.model_validate(
        {"spec": {"template": {"spec": {"workspaceTemplateRef": {"name": "t"}}}}}
    )

    assert fresh.status.replicas == 0
    assert fresh.status.conditions == ()
    assert fresh.status.observed_generation is None
