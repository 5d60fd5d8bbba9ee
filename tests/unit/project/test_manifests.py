from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from capt import __version__
from capt.api import KINDS, WORKSPACE_FLAVOURS
from capt.manager import Options, parse
from tests.support import project

MANIFESTS = project.ROOT / "manifests"

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")


def kustomize(folder: Path) -> list[dict[str, Any]]:
    return list(project.yaml_documents(kustomized(folder)))


@cache
def kustomized(folder: Path) -> str:
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents() -> list[dict[str, Any]]:
    """What `kubectl kustomize manifests/default` shows, but read without kubectl."""

    def resources(folder: Path) -> Iterator[dict[str, Any]]:
        (kustomization,) = (
            folder / name for name in ("kustomization.yaml", "Kustomization") if (folder / name).exists()
        )
        for name in yaml.safe_load(kustomization.read_text(encoding="utf-8"))["resources"]:
            if (folder / name).is_dir():
                yield from resources(folder / name)
            else:
                yield from project.yaml_documents((folder / name).read_text(encoding="utf-8"))

    return list(resources(MANIFESTS / "default"))


def one(found: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (document,) = (document for document in found if document["kind"] == kind)
    return document


def manager_container(found: list[dict[str, Any]]) -> dict[str, Any]:
    (container,) = one(found, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(container)


def manager_options() -> Options:
    return parse(manager_container(documents())["args"])


@pytest.mark.kubectl
@needs_kubectl
def test_kustomize_accepts_and_keeps_everything() -> None:
    """B-K05: `kubectl kustomize manifests/default` composes CRDs, roles and manager, nothing twice, nothing lost."""
    built = kustomize(MANIFESTS / "default")
    identities = [identity(document) for document in built]
    assert len(set(identities)) == len(identities)
    assert set(identities) == {identity(document) for document in documents()}


@pytest.mark.kubectl
@needs_kubectl
def test_another_namespace_takes_an_overlay_of_one_line(tmp_path: Path) -> None:
    """An overlay that sets `namespace` moves everything that has one, the subjects of the bindings included."""
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(
        "namespace: platform\nresources: [../manifests/default]\n", encoding="utf-8"
    )
    built = kustomize(overlay)
    assert one(built, "Namespace")["metadata"]["name"] == "platform"
    assert {document["metadata"].get("namespace", "platform") for document in built} == {"platform"}
    check_bindings(built)


def test_the_default_makes_templates_immutable() -> None:
    """What a cluster operator applies puts the policy in force that keeps templates from changing, all kinds of them."""
    found = documents()
    policy = one(found, "ValidatingAdmissionPolicy")
    binding = one(found, "ValidatingAdmissionPolicyBinding")
    assert binding["spec"] == {
        "policyName": policy["metadata"]["name"],
        "validationActions": ["Deny"],
    }
    guarded = {
        (group, plural)
        for rule in policy["spec"]["matchConstraints"]["resourceRules"]
        for group in rule["apiGroups"]
        for plural in rule["resources"]
    }
    templates = [model.RESOURCE for model in KINDS if model.RESOURCE.kind.endswith("Template")]
    assert guarded == {(each.group, each.plural) for each in templates if each.kind != "WorkspaceTemplate"}


def test_every_crd_is_installed() -> None:
    """The list of CRDs names every generated file."""
    listed = yaml.safe_load((MANIFESTS / "crds" / "Kustomization").read_text(encoding="utf-8"))["resources"]
    assert listed == sorted(path.name for path in (MANIFESTS / "crds").glob("*.yaml"))


def test_bindings_bind_what_is_there() -> None:
    """B-K08: Each binding names a role and a ServiceAccount of these manifests, and the Deployment uses that account."""
    found = documents()
    check_bindings(found)
    deployment = one(found, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == one(found, "ServiceAccount")["metadata"]["name"]
    assert pod["automountServiceAccountToken"] is True


def check_bindings(found: list[dict[str, Any]]) -> None:
    known = {identity(document) for document in found}
    bindings = [document for document in found if document["kind"].endswith("RoleBinding")]
    assert bindings
    for binding in bindings:
        reference = binding["roleRef"]
        namespace = binding["metadata"].get("namespace", "") if reference["kind"] == "Role" else ""
        assert (reference["kind"], namespace, reference["name"]) in known
        for subject in binding["subjects"]:
            assert (subject["kind"], subject["namespace"], subject["name"]) in known


def test_the_manager_accepts_the_arguments() -> None:
    """F5, F6: The container is called manager, and its arguments are flags that capt.manager knows."""
    assert manager_container(documents())["name"] == "manager"
    options = manager_options()
    assert options.leader_elect
    assert not options.embedded
    assert options.engine in (None, "external")


def test_ports_are_those_that_the_manager_listens_on() -> None:
    """Probes and the metrics Service reach the addresses that the flags give."""
    found, options = documents(), manager_options()
    container = manager_container(found)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert options.metrics_bind_address == f":{ports['metrics']}"
    assert options.health_probe_bind_address == f":{ports['probes']}"
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "probes"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "probes"}
    (port,) = one(found, "Service")["spec"]["ports"]
    assert port["targetPort"] == "metrics"


def test_selectors_select_the_pods() -> None:
    """Deployment, Service, disruption budget and topology spread all mean the manager's pods."""
    found = documents()
    template = one(found, "Deployment")["spec"]["template"]
    selectors = [
        one(found, "Deployment")["spec"]["selector"]["matchLabels"],
        one(found, "Service")["spec"]["selector"],
        one(found, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in template["spec"]["topologySpreadConstraints"]),
    ]
    for selector in selectors:
        assert selector.items() <= template["metadata"]["labels"].items()


def test_image_has_the_version_of_the_package() -> None:
    """B-K07: The version stands in one place, and everything else agrees with it."""
    assert manager_container(documents())["image"] == f"capt:{__version__}"


def test_pods_keep_to_the_restricted_standard() -> None:
    """The namespace enforces the restricted Pod Security Standard, and the pods meet it with a read-only root."""
    found = documents()
    labels = one(found, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = one(found, "Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] == 65532, "the image's user"
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert manager_container(found)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_pods_outlive_the_orderly_stop() -> None:
    """Kubernetes waits longer than the manager does for reconciles that are under way."""
    from capt.runtime import ManagerOptions

    pod = one(documents(), "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > ManagerOptions().graceful_shutdown


def test_roles_name_what_they_grant() -> None:
    """B-K03: No wildcard stands in any rule, and nothing may escalate."""
    for rule in rules("ClusterRole") + rules("Role"):
        for key in ("apiGroups", "resources", "verbs"):
            assert "*" not in rule[key]
        assert {"escalate", "bind", "impersonate", "deletecollection"}.isdisjoint(rule["verbs"])


def test_the_manager_may_watch_its_kinds_and_write_their_status() -> None:
    """Every kind of ours that is more than a form, and every flavour of Workspace, can be read and its status written."""
    for resource in (model.RESOURCE for model in KINDS):
        if granted := verbs(resource.group, resource.plural):
            assert {"list", "watch"} <= granted
            assert verbs(resource.group, f"{resource.plural}/status") == granted & {"patch"}
        else:
            assert resource.plural.endswith("templates"), "what nobody may touch is a form to be filled in"
    for flavour in WORKSPACE_FLAVOURS:
        granted = verbs(flavour.group, flavour.plural)
        assert granted == {"get", "list", "watch", "create", "patch", "delete"}


def test_secrets_can_be_looked_up_but_not_listed() -> None:
    """B-P40: Somebody who takes over the manager's account cannot enumerate secrets."""
    assert verbs("", "secrets").isdisjoint({"list", "watch"})


def test_only_the_lease_of_this_manager_is_open_to_it() -> None:
    """B-K18: The Lease that leader election uses by default is named in the Role; creating cannot be bound to a name."""
    lease = manager_options().leader_election_id
    leases = [rule for rule in rules("Role") if "leases" in rule["resources"]]
    for rule in leases:
        assert rule["verbs"] == ["create"] or rule["resourceNames"] == [lease]
    assert not [rule for rule in rules("ClusterRole") if "leases" in rule["resources"]]


@pytest.mark.kubectl
@needs_kubectl
@pytest.mark.parametrize("overlay", ["metrics-secure", "namespaced", "terraform"])
def test_overlays_keep_what_default_promises(overlay: str) -> None:
    """B-K17: The manager accepts the arguments of each overlay, every binding binds, and every volume is there."""
    built = kustomize(MANIFESTS / overlay)
    check_bindings(built)
    # the kubelet puts the variables of the environment in their places
    options = parse(
        [each.replace("$(POD_NAMESPACE)", "capt-system") for each in manager_container(built)["args"]]
    )
    assert options.leader_elect
    pod = one(built, "Deployment")["spec"]["template"]["spec"]
    claims = {each["metadata"]["name"] for each in built if each["kind"] == "PersistentVolumeClaim"}
    assert claims == {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    mounted = {mount["mountPath"] for mount in manager_container(built)["volumeMounts"]}
    assert options.data_dir is None or str(options.data_dir) in mounted


@pytest.mark.kubectl
@needs_kubectl
def test_one_namespace_needs_little_beyond_it() -> None:
    """Where a manager minds one namespace, its ClusterRole is about cluster-scoped kinds and nothing else."""
    built = kustomize(MANIFESTS / "namespaced")
    cluster_scoped = {
        (flavour.group, flavour.plural) for flavour in WORKSPACE_FLAVOURS if not flavour.namespaced
    }
    cluster_scoped |= {("apiextensions.k8s.io", "customresourcedefinitions")}
    for rule in one(built, "ClusterRole")["rules"]:
        assert {(group, name) for group in rule["apiGroups"] for name in rule["resources"]} <= cluster_scoped


def test_the_service_monitor_finds_the_metrics() -> None:
    """The ServiceMonitor selects the metrics Service and names its port, and is told apart from what always applies."""
    monitor = yaml.safe_load((MANIFESTS / "monitoring" / "service_monitor.yaml").read_text(encoding="utf-8"))
    service = one(documents(), "Service")
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    ports = {port["name"] for port in service["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
    assert "ServiceMonitor" not in {document["kind"] for document in documents()}


@functools.cache
def rules(kind: str) -> list[Mapping[str, Any]]:
    return [rule for document in documents() if document["kind"] == kind for rule in document["rules"]]


def verbs(group: str, resource: str) -> set[str]:
    return {
        verb
        for rule in rules("ClusterRole")
        if group in rule["apiGroups"] and resource in rule["resources"]
        for verb in rule["verbs"]
    }


def identity(document: Mapping[str, Any]) -> tuple[str, str, str]:
    metadata = document["metadata"]
    return document["kind"], metadata.get("namespace", ""), metadata["name"]
