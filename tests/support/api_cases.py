"""Manifests that the CRDs must refuse, and what the refusal must say.

Shared by every suite that has an API server: the rules are the server's to enforce, so they are only tested through one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

API_VERSION = "infrastructure.cluster.x-k8s.io/v1beta1"
CONTROL_PLANE_API_VERSION = "controlplane.cluster.x-k8s.io/v1beta1"
PLURALS = {
    "WorkspaceTemplate": "workspacetemplates",
    "WorkspaceTemplateApply": "workspacetemplateapplies",
    "CaptMachine": "captmachines",
    "CaptMachineSet": "captmachinesets",
    "CaptMachineDeployment": "captmachinedeployments",
    "CaptMachineTemplate": "captmachinetemplates",
    "CAPTCluster": "captclusters",
    "CAPTClusterTemplate": "captclustertemplates",
    "CAPTControlPlane": "captcontrolplanes",
    "CAPTControlPlaneTemplate": "captcontrolplanetemplates",
    "CaptControlPlaneTemplate": "legacycaptcontrolplanetemplates",
}


def api_version(kind: str) -> str:
    """Return the API version of a kind."""
    return CONTROL_PLANE_API_VERSION if "ControlPlane" in kind else API_VERSION


NODE = {"nodeGroupRef": {"name": "g"}, "workspaceTemplateRef": {"name": "t"}, "instanceType": "t3.medium"}
GROUP = {
    "nodeGroupConfig": {
        "instanceType": "t3.medium",
        "scaling": {"minSize": 1, "maxSize": 3, "desiredSize": 2},
    },
    "workspaceTemplateRef": {"name": "t"},
}
ORIGINAL_NODE_TYPE = {
    "workspaceTemplateRef": {"name": "t"},
    "nodeType": "ManagedNodeGroup",
    "instanceType": "t3.medium",
    "scaling": {"minSize": 1, "maxSize": 3, "desiredSize": 2},
    "labels": {"role": "worker"},
    "taints": [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}],
    "additionalTags": {"team": "x"},
}
"""The Go original's form of a machine in a CaptMachineTemplate."""

REPLICATED = {
    "selector": {"matchLabels": {"role": "worker"}},
    "template": {"metadata": {"labels": {"role": "worker", "zone": "a"}}, "spec": NODE},
}
NETWORK = {"region": "us-west-2", "vpcTemplateRef": {"name": "vpc"}}
EKS = {"version": "1.31", "workspaceTemplateRef": {"name": "eks"}}
INLINE = {"source": "Inline", "module": 'output "a" { value = 1 }'}

SPECS: Mapping[str, Mapping[str, Any]] = {
    "WorkspaceTemplate": {"template": {"spec": {"forProvider": INLINE}}},
    "WorkspaceTemplateApply": {"templateRef": {"name": "t"}},
    "CaptMachine": NODE,
    "CaptMachineSet": REPLICATED,
    "CaptMachineDeployment": REPLICATED,
    "CaptMachineTemplate": {"template": {"spec": NODE}},
    "CAPTCluster": NETWORK,
    "CAPTClusterTemplate": {"template": {"spec": NETWORK}},
    "CAPTControlPlane": EKS,
    "CAPTControlPlaneTemplate": {"template": {"spec": {"workspaceTemplateRef": {"name": "eks"}}}},
    "CaptControlPlaneTemplate": {"template": {"spec": {"workspaceTemplateRef": {"name": "eks"}}}},
}
"""The least that each kind needs."""


def manifest(kind: str, spec: Mapping[str, Any] | None = None, name: str = "example") -> dict[str, Any]:
    """Return a manifest of the kind; by default the least that is accepted."""
    return {
        "apiVersion": api_version(kind),
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": copy.deepcopy(dict(SPECS[kind] if spec is None else spec)),
    }


REMOVE = object()


def changed(spec: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of `spec` with values at dotted paths replaced, added, or with `REMOVE` taken away."""
    result = copy.deepcopy(dict(spec))
    for path, value in changes.items():
        *parents, last = path.split(".")
        target = result
        for parent in parents:
            target = target.setdefault(parent, {})
        if value is REMOVE:
            del target[last]
        else:
            target[last] = copy.deepcopy(value)
    return result


@dataclass(frozen=True, slots=True)
class Refused:
    """A spec that must be refused, with words that the refusal must contain: the field, then the rule."""

    kind: str
    changes: Mapping[str, Any]
    words: tuple[str, ...]
    base: Mapping[str, Any] | None = None

    @property
    def id(self) -> str:
        """Name of the case."""
        return f"{self.kind}-{','.join(self.changes)}-{self.words[-1][:30]}"

    def body(self, name: str) -> dict[str, Any]:
        """Return the manifest."""
        return manifest(self.kind, changed(self.base or SPECS[self.kind], self.changes), name)


def _both(make: Callable[[str], Refused]) -> tuple[Refused, Refused]:
    return make("CaptMachineSet"), make("CaptMachineDeployment")


def _expression(operator: str, *values: str, key: str = "role") -> dict[str, Any]:
    return {
        "matchExpressions": [
            {"key": key, "operator": operator, **({"values": list(values)} if values else {})}
        ]
    }


_LABELS_RULE = "selector.matchLabels must match template.metadata.labels"
_EXPRESSIONS_RULE = "selector.matchExpressions must match template.metadata.labels"
_VALUES_RULE = "In and NotIn need values, Exists and DoesNotExist take none"
_FORM_RULE = "exactly one of nodeGroupRef and nodeGroupConfig must be set"
_PERCENT = r"%$"

_VPC_RULE = "exactly one of vpcTemplateRef and existingVpcId must be set"

REFUSED: tuple[Refused, ...] = (
    Refused("CAPTCluster", {"vpcTemplateRef": REMOVE}, ("spec:", _VPC_RULE)),
    Refused("CAPTCluster", {"existingVpcId": "vpc-1"}, ("spec:", _VPC_RULE)),
    Refused(
        "CAPTClusterTemplate", {"template.spec.existingVpcId": "vpc-1"}, ("spec.template.spec:", _VPC_RULE)
    ),
    Refused(
        "CAPTCluster",
        {"vpcTemplateRef": REMOVE, "existingVpcId": "vpc-1", "retainVpcOnDelete": True},
        ("spec.retainVpcOnDelete", "retainVpcOnDelete needs vpcTemplateRef"),
    ),
    Refused(
        "CAPTCluster",
        {"existingVpcTemplateRef": {"name": "lookup"}},
        ("spec.existingVpcTemplateRef", "existingVpcTemplateRef needs existingVpcId"),
    ),
    Refused("CAPTCluster", {"region": REMOVE}, ("spec.region", "Required value")),
    Refused("CAPTCluster", {"region": "here"}, ("spec.region", "should match")),
    Refused(
        "CAPTCluster",
        {"vpcTemplateRef": REMOVE, "existingVpcId": "10.0.0.0/16"},
        ("spec.existingVpcId", "should match"),
    ),
    Refused(
        "CAPTCluster",
        {"controlPlaneEndpoint": {"host": "https://api.example.org"}},
        ("spec.controlPlaneEndpoint.host", "should match"),
    ),
    Refused(
        "CAPTCluster",
        {"controlPlaneEndpoint": {"host": "api", "port": 65536}},
        ("spec.controlPlaneEndpoint.port", "less than or equal to 65535"),
    ),
    Refused(
        "CaptMachineTemplate",
        {"template.spec.nodeType": "Fargate"},
        ("spec.template.spec:", "exactly one of"),
    ),
    Refused(
        "CaptMachineTemplate",
        {"template.spec.nodeGroupRef": REMOVE},
        ("spec.template.spec:", "in the Go original's form, nodeType"),
    ),
    Refused(
        "CaptMachineTemplate",
        {"template.spec.additionalTags": {"a": "b"}},
        ("spec.template.spec:", "additionalTags is tags"),
    ),
    Refused("CAPTControlPlane", {"version": REMOVE}, ("spec.version", "Required value")),
    Refused("CAPTControlPlane", {"version": "latest"}, ("spec.version", "should match")),
    Refused(
        "CAPTControlPlane", {"workspaceTemplateRef": REMOVE}, ("spec.workspaceTemplateRef", "Required value")
    ),
    Refused(
        "CAPTControlPlane",
        {
            "controlPlaneConfig": {
                "region": "us-west-2",
                "endpointAccess": {"public": False, "private": False},
            }
        },
        ("spec.controlPlaneConfig.endpointAccess", "at least one of public and private must be true"),
    ),
    Refused(
        "CAPTControlPlane",
        {
            "controlPlaneConfig": {
                "region": "us-west-2",
                "endpointAccess": {"public": False, "publicCIDRs": ["10.0.0.0/8"]},
            }
        },
        ("spec.controlPlaneConfig.endpointAccess.publicCIDRs", "publicCIDRs needs public"),
    ),
    Refused(
        "CAPTControlPlane",
        {"controlPlaneConfig": {"region": "us-west-2", "timeouts": {"controlPlaneTimeout": 0}}},
        ("spec.controlPlaneConfig.timeouts.controlPlaneTimeout", "greater than or equal to 1"),
    ),
    Refused(
        "CAPTControlPlane",
        {"controlPlaneConfig": {"region": "us-west-2", "addons": [{"name": "a"}, {"name": "a"}]}},
        ("spec.controlPlaneConfig.addons[1]", "Duplicate value"),
    ),
    Refused("CaptMachine", {"nodeGroupRef": REMOVE}, ("spec:", _FORM_RULE)),
    Refused("CaptMachine", {"nodeGroupConfig": GROUP["nodeGroupConfig"]}, ("spec:", _FORM_RULE)),
    Refused(
        "CaptMachine",
        {"instanceType": REMOVE},
        ("spec.instanceType", "instanceType is required with nodeGroupRef"),
    ),
    Refused("CaptMachine", {"instanceType": ""}, ("spec.instanceType", "at least 1 chars long")),
    Refused("CaptMachine", {"workspaceTemplateRef": REMOVE}, ("spec.workspaceTemplateRef", "Required value")),
    Refused(
        "CaptMachine", {"workspaceTemplateRef": {}}, ("spec.workspaceTemplateRef.name", "Required value")
    ),
    Refused(
        "CaptMachine",
        {"workspaceTemplateRef.name": "Not A Name"},
        ("spec.workspaceTemplateRef.name", "should match"),
    ),
    Refused("CaptMachine", {"nodeGroupRef.name": ""}, ("spec.nodeGroupRef.name", "at least 1 chars long")),
    Refused("CaptMachine", {"labels": {"a": 1}}, ("spec.labels.a", "must be of type string")),
    Refused("CaptMachine", {"values": [1]}, ("spec.values", "must be of type object")),
    Refused("CaptMachine", {"nodeGroupconfig": {}}, ("spec.nodeGroupconfig", "unknown field")),
    Refused(
        "CaptMachine",
        {"nodeGroupConfig.scaling": {"minSize": 4, "maxSize": 3, "desiredSize": 3}},
        ("spec.nodeGroupConfig.scaling.minSize", "minSize must not be above maxSize"),
        GROUP,
    ),
    Refused(
        "CaptMachine",
        {"nodeGroupConfig.scaling.desiredSize": 4},
        ("spec.nodeGroupConfig.scaling.desiredSize", "desiredSize must lie between minSize and maxSize"),
        GROUP,
    ),
    Refused(
        "CaptMachine",
        {"nodeGroupConfig.scaling.minSize": -1},
        ("spec.nodeGroupConfig.scaling.minSize", "greater than or equal to 0"),
        GROUP,
    ),
    Refused(
        "CaptMachine",
        {"nodeGroupConfig.scaling.desiredSize": REMOVE},
        ("spec.nodeGroupConfig.scaling.desiredSize", "Required value"),
        GROUP,
    ),
    Refused(
        "CaptMachine",
        {"nodeGroupConfig.instanceTypes": ["m5.large"]},
        ("spec.nodeGroupConfig.instanceType", "only one of them may be set"),
        GROUP,
    ),
    Refused(
        "CaptMachine",
        {"nodeGroupConfig.amiType": "CUSTOM", "nodeGroupConfig.releaseVersion": "1.33.0-20260101"},
        ("spec.nodeGroupConfig.releaseVersion", "cannot be set with amiType CUSTOM"),
        GROUP,
    ),
    Refused(
        "CaptMachine",
        {"nodeGroupConfig.updateConfig": {}},
        ("spec.nodeGroupConfig.updateConfig", "exactly one of maxUnavailable and maxUnavailablePercentage"),
        GROUP,
    ),
    Refused(
        "CaptMachine",
        {"nodeGroupConfig.updateConfig": {"maxUnavailable": 101}},
        ("spec.nodeGroupConfig.updateConfig.maxUnavailable", "less than or equal to 100"),
        GROUP,
    ),
    Refused(
        "CaptMachine",
        {"nodeGroupConfig.capacityType": "SPOT"},
        ("spec.nodeGroupConfig.capacityType", 'supported values: "OnDemand", "Spot", "CapacityBlock"'),
        GROUP,
    ),
    Refused(
        "CaptMachine",
        {"nodeGroupConfig.taints": [{"key": "a", "effect": "NO_SCHEDULE"}]},
        (
            "spec.nodeGroupConfig.taints[0].effect",
            'supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
        ),
        GROUP,
    ),
    Refused(
        "CaptMachine",
        {"nodeGroupConfig.version": "v1.33.2"},
        ("spec.nodeGroupConfig.version", "should match"),
        GROUP,
    ),
    Refused(
        "CaptMachine",
        {"nodeGroupConfig.diskSize": 0},
        ("spec.nodeGroupConfig.diskSize", "or equal to 1"),
        GROUP,
    ),
    *_both(lambda kind: Refused(kind, {"replicas": -1}, ("spec.replicas", "greater than or equal to 0"))),
    *_both(lambda kind: Refused(kind, {"replicas": "3"}, ("spec.replicas", "must be of type integer"))),
    *_both(lambda kind: Refused(kind, {"template": REMOVE}, ("spec.template", "Required value"))),
    *_both(lambda kind: Refused(kind, {"selector": {}}, ("spec.selector", "selector must not be empty"))),
    *_both(
        lambda kind: Refused(
            kind, {"selector.matchLabels": {"role": "other"}}, ("spec.selector", _LABELS_RULE)
        )
    ),
    *_both(lambda kind: Refused(kind, {"selector.matchLabels": {"a": "b"}}, ("spec.selector", _LABELS_RULE))),
    *_both(lambda kind: Refused(kind, {"template.metadata": REMOVE}, ("spec.selector", _LABELS_RULE))),
    *_both(
        lambda kind: Refused(
            kind, {"selector": _expression("In", "a", "b")}, ("spec.selector", _EXPRESSIONS_RULE)
        )
    ),
    *_both(
        lambda kind: Refused(
            kind, {"selector": _expression("NotIn", "worker")}, ("spec.selector", _EXPRESSIONS_RULE)
        )
    ),
    *_both(
        lambda kind: Refused(
            kind, {"selector": _expression("Exists", key="a")}, ("spec.selector", _EXPRESSIONS_RULE)
        )
    ),
    *_both(
        lambda kind: Refused(
            kind, {"selector": _expression("DoesNotExist")}, ("spec.selector", _EXPRESSIONS_RULE)
        )
    ),
    *_both(
        lambda kind: Refused(
            kind, {"selector": _expression("In")}, ("spec.selector.matchExpressions", _VALUES_RULE)
        )
    ),
    *_both(
        lambda kind: Refused(
            kind,
            {"selector": _expression("Exists", "worker")},
            ("spec.selector.matchExpressions", _VALUES_RULE),
        )
    ),
    *_both(
        lambda kind: Refused(
            kind,
            {"replicas": 2, "template.spec": changed(GROUP, {"nodeGroupConfig.name": "fixed"})},
            ("spec.template", "nodeGroupConfig.name cannot be set with more than one replica"),
        )
    ),
    *_both(
        lambda kind: Refused(
            kind, {"template.spec.instanceType": REMOVE}, ("spec.template.spec.instanceType", "is required")
        )
    ),
    *_both(
        lambda kind: Refused(
            kind, {"minReadySeconds": -1}, ("spec.minReadySeconds", "greater than or equal to 0")
        )
    ),
    Refused(
        "CaptMachineDeployment",
        {"strategy": {"type": "BlueGreen"}},
        ("spec.strategy.type", 'supported values: "RollingUpdate", "Recreate", "OnDelete"'),
    ),
    *(
        Refused(
            "CaptMachineDeployment",
            {"strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}},
            ("spec.strategy.rollingUpdate.maxUnavailable", "must not both be zero"),
        )
        for surge in (0, "0%")
        for unavailable in (0, "0%")
    ),
    *(
        Refused(
            "CaptMachineDeployment",
            {"strategy.rollingUpdate": {field: value}},
            (f"spec.strategy.rollingUpdate.{field}", words),
        )
        for field, value, words in (
            ("maxSurge", "1", _PERCENT),
            ("maxSurge", "half", _PERCENT),
            ("maxSurge", -1, "greater than or equal to 0"),
            ("maxUnavailable", "101%", _PERCENT),
            ("maxUnavailable", "-1%", _PERCENT),
            ("maxUnavailable", 0.5, "must be of type"),
        )
    ),
    Refused(
        "CaptMachineDeployment",
        {"progressDeadlineSeconds": 60, "minReadySeconds": 60},
        ("spec.progressDeadlineSeconds", "progressDeadlineSeconds must be above minReadySeconds"),
    ),
    Refused(
        "CaptMachineDeployment", {"revisionHistoryLimit": -1}, ("spec.revisionHistoryLimit", "or equal to 0")
    ),
    Refused("CaptMachineDeployment", {"rolloutAfter": "tomorrow"}, ("spec.rolloutAfter", "date-time")),
    Refused("CaptMachineDeployment", {"paused": "yes"}, ("spec.paused", "must be of type boolean")),
    Refused(
        "WorkspaceTemplate",
        {"template.spec.module": "a"},
        ("spec.template.spec", "exactly one of module and forProvider"),
    ),
    Refused(
        "WorkspaceTemplate",
        {"template.spec.forProvider": REMOVE},
        ("spec.template.spec", "exactly one of module and forProvider"),
    ),
    Refused(
        "WorkspaceTemplate",
        {"template.spec.forProvider.module": ""},
        ("forProvider.module", "at least 1 chars long"),
    ),
    Refused(
        "WorkspaceTemplate",
        {"template.spec.forProvider.source": "Git"},
        ("spec.template.spec.forProvider.source", 'supported values: "Remote", "Inline", "Flux"'),
    ),
    Refused(
        "WorkspaceTemplate",
        {"template.spec.forProvider.inlineFormat": "YAML"},
        ("spec.template.spec.forProvider.inlineFormat", 'supported values: "HCL", "JSON"'),
    ),
    Refused(
        "WorkspaceTemplate",
        {
            "template.spec.forProvider.varFiles": [
                {"source": "SecretKey", "configMapKeyRef": {"name": "a", "key": "b"}}
            ]
        },
        ("spec.template.spec.forProvider.varFiles[0].source", "source SecretKey needs secretKeyRef"),
    ),
    Refused(
        "WorkspaceTemplate",
        {"template.spec.deletionPolicy": "Keep"},
        ("spec.template.spec.deletionPolicy", 'supported values: "Delete", "Orphan"'),
    ),
    Refused(
        "WorkspaceTemplate",
        {"template.spec.managementPolicies": ["Dream"]},
        ("spec.template.spec.managementPolicies[0]", "supported values"),
    ),
    Refused("WorkspaceTemplateApply", {"templateRef": REMOVE}, ("spec.templateRef", "Required value")),
    Refused(
        "WorkspaceTemplateApply", {"variables": {"a": 1}}, ("spec.variables.a", "must be of type string")
    ),
    Refused(
        "WorkspaceTemplateApply", {"waitForSecret": {"name": "a"}}, ("spec.waitForSecret", "unknown field")
    ),
    Refused(
        "WorkspaceTemplateApply", {"waitForSecrets": [{}]}, ("spec.waitForSecrets[0].name", "Required value")
    ),
)

ACCEPTED: tuple[tuple[str, Mapping[str, Any]], ...] = (
    *((kind, spec) for kind, spec in SPECS.items()),
    ("CaptMachine", GROUP),
    (
        "CaptMachine",
        changed(
            GROUP,
            {
                "instanceType": "t3.large",
                "nodeGroupConfig": {
                    "instanceTypes": ["m5.large", "m5a.large"],
                    "capacityType": "Spot",
                    "amiType": "AL2023_x86_64_STANDARD",
                    "version": "1.33",
                    "releaseVersion": "1.33.0-20260101",
                    "diskSize": 50,
                    "labels": {"a": "b"},
                    "taints": [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}],
                    "updateConfig": {"maxUnavailablePercentage": 33},
                    "subnetIDs": ["subnet-1"],
                    "tags": {"a": "b"},
                },
                "values": {"a": [1, {"b": None}], "c": True},
            },
        ),
    ),
    (
        "CaptMachine",
        changed(NODE, {"nodeGroupRef": {"name": "My_Group", "namespace": "other"}, "variables": {"a": "b"}}),
    ),
    ("CaptMachineSet", changed(REPLICATED, {"selector": REMOVE})),
    ("CaptMachineSet", changed(REPLICATED, {"selector": _expression("In", "worker", "other")})),
    ("CaptMachineSet", changed(REPLICATED, {"selector": _expression("NotIn", "other")})),
    ("CaptMachineSet", changed(REPLICATED, {"selector": _expression("Exists")})),
    ("CaptMachineSet", changed(REPLICATED, {"selector": _expression("DoesNotExist", key="a")})),
    ("CaptMachineSet", {"template": {"spec": NODE}}),
    (
        "CaptMachineDeployment",
        changed(
            REPLICATED, {"template.spec": changed(GROUP, {"nodeGroupConfig.name": "fixed"}), "replicas": 1}
        ),
    ),
    ("CaptMachineDeployment", changed(REPLICATED, {"strategy": {"type": "Recreate"}})),
    ("CaptMachineDeployment", changed(REPLICATED, {"strategy": {"type": "OnDelete"}, "paused": True})),
    (
        "CaptMachineDeployment",
        changed(
            REPLICATED,
            {
                "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "25%"}},
                "rolloutAfter": "2026-01-01T00:00:00Z",
                "revisionHistoryLimit": 0,
            },
        ),
    ),
    (
        "WorkspaceTemplate",
        {
            "template": {
                "metadata": {"description": "d", "version": "1.0.0", "tags": {"a": "b"}},
                "spec": {
                    "forProvider": {
                        **INLINE,
                        "inlineFormat": "HCL",
                        "entrypoint": "sub",
                        "env": [
                            {"name": "A", "value": "b"},
                            {"name": "C", "secretKeyRef": {"namespace": "n", "name": "s", "key": "k"}},
                        ],
                        "vars": [{"key": "a", "value": "b"}],
                        "varmap": {"list": [1, 2], "nothing": None},
                        "varFiles": [
                            {
                                "source": "ConfigMapKey",
                                "configMapKeyRef": {"name": "c", "key": "k"},
                                "format": "JSON",
                            }
                        ],
                        "initArgs": ["-upgrade"],
                        "planArgs": ["-parallelism=1"],
                        "applyArgs": ["-parallelism=1"],
                        "destroyArgs": ["-parallelism=1"],
                        "enableTerraformCLILogging": True,
                    },
                    "providerConfigRef": {
                        "name": "aws",
                        "policy": {"resolution": "Optional", "resolve": "Always"},
                    },
                    "deletionPolicy": "Orphan",
                    "managementPolicies": ["Observe", "Create"],
                    "writeConnectionSecretToRef": {"name": "s", "namespace": "n"},
                    "publishConnectionDetailsTo": {"name": "s", "configRef": {"name": "default"}},
                },
            },
            "writeConnectionSecretToRef": {"name": "s"},
        },
    ),
    (
        "WorkspaceTemplate",
        changed(
            SPECS["WorkspaceTemplate"],
            {
                "template.spec.writeConnectionSecretToRef": {
                    "name": "${WORKSPACE_NAME}-out",
                    "namespace": "${ns}",
                },
                "template.spec.forProvider.varFiles": [
                    {
                        "source": "SecretKey",
                        "secretKeyRef": {"name": "${cluster_name}-vpc", "key": "vpc.json"},
                    }
                ],
            },
        ),
    ),
    (
        "WorkspaceTemplateApply",
        {
            "templateRef": {"name": "t", "namespace": "n"},
            "writeConnectionSecretToRef": {"name": "s", "namespace": "n"},
            "variables": {"a": "b"},
            "values": {"list": [1, {"a": None}]},
            "waitForSecrets": [{"name": "s", "namespace": "n"}, {"name": "s"}],
            "waitForWorkspaces": [{"name": "w"}],
            "retainWorkspaceOnDelete": True,
        },
    ),
    (
        "CAPTCluster",
        {
            "region": "us-gov-west-1",
            "vpcTemplateRef": {"name": "vpc", "namespace": "n"},
            "retainVpcOnDelete": True,
            "vpcConfig": {"name": "main"},
            "controlPlaneEndpoint": {"host": "api.example.org", "port": 6443},
            "variables": {"environment": "test"},
            "values": {"azs": ["a"]},
            "workspaceTemplateApplyName": "c-vpc",
        },
    ),
    ("CAPTCluster", {"region": "us-west-2", "existingVpcId": "vpc-0123456789abcdef0"}),
    (
        "CAPTCluster",
        {"region": "us-west-2", "existingVpcId": "vpc-1", "existingVpcTemplateRef": {"name": "lookup"}},
    ),
    (
        "CAPTClusterTemplate",
        {"template": {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": NETWORK}},
    ),
    ("CaptMachineTemplate", {"template": {"metadata": {"labels": {"a": "b"}}, "spec": GROUP}}),
    ("CaptMachineTemplate", {"template": {"spec": ORIGINAL_NODE_TYPE}}),
    (
        "CaptMachineTemplate",
        {
            "template": {
                "spec": {"workspaceTemplateRef": {"name": "t", "namespace": "n"}, "nodeType": "Fargate"}
            }
        },
    ),
    (
        "CAPTControlPlane",
        {
            "version": "v1.31.0",
            "workspaceTemplateRef": {"name": "eks", "namespace": "n"},
            "controlPlaneConfig": {
                "region": "us-west-2",
                "endpointAccess": {
                    "public": True,
                    "private": True,
                    "publicCIDRs": ["10.0.0.0/8", "2001:db8::/32"],
                },
                "addons": [{"name": "vpc-cni", "version": "v1.18", "configurationValues": "{}"}],
                "timeouts": {"controlPlaneTimeout": 60, "vpcReadyTimeout": 20, "secretTimeout": 10},
            },
            "additionalTags": {"team": "x"},
            "variables": {"a": "b"},
            "values": {"c": [1]},
            "kubeconfigTemplateRef": {"name": "k"},
            "spotRoleTemplateRef": {"name": "s"},
            "fargateTemplateRef": {"name": "f"},
            "controlPlaneEndpoint": {"host": "api.example.org", "port": 443},
            "workspaceTemplateApplyName": "cp-eks-controlplane-apply",
        },
    ),
    ("CAPTControlPlaneTemplate", {"template": {"metadata": {"labels": {"a": "b"}}, "spec": EKS}}),
    ("CaptControlPlaneTemplate", {"template": {"spec": EKS}}),
)
"""Specs that must be accepted: every optional field is in one of them."""
