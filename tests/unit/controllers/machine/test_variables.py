from __future__ import annotations

from capt.controllers.machine.node_group import NodeGroup, group_name, node_group
from capt.controllers.machine.variables import machine_variables
from tests.support.machines import GROUP, NODE, machine


def node(**spec):
    return machine("n", spec={**NODE, **spec})


def group_of(config, name="g", **fields):
    return machine(name, spec={**GROUP, "nodeGroupConfig": config}, **fields)


def managed(outputs, config=None):
    found = machine(
        "group",
        spec=GROUP if config is None else {**GROUP, "nodeGroupConfig": config},
        status={"outputs": outputs},
    )
    return NodeGroup(machine=found, consents=True)


def test_a_node_gets_the_variables_of_seed_000():
    """B-M20: Instance type and node group are strings; labels and tags are maps, never text of maps."""
    result = machine_variables(node(labels={"role": "worker"}, tags={"env": "prod"}), None)
    assert result.variables == {"instance_type": "t3.medium", "node_group": "group"}
    assert result.values == {"labels": {"role": "worker"}, "tags": {"env": "prod"}}


def test_a_machine_of_a_cluster_is_told_which():
    """B-M23: the label that a deployment hands down names the cluster; outputs of the group, and the user, win."""
    labels = {"labels": {"cluster.x-k8s.io/cluster-name": "prod"}}
    plain = machine("n", spec=NODE, metadata=labels)
    assert machine_variables(plain, None).variables["cluster_name"] == "prod"
    assert "cluster_name" in machine_variables(plain, None).optional
    told = machine_variables(plain, managed({"cluster_name": "of-the-group"}))
    assert ("cluster_name" in told.variables, told.values["cluster_name"]) == (False, "of-the-group")
    own = machine("n", spec={**NODE, "variables": {"cluster_name": "mine"}}, metadata=labels)
    assert machine_variables(own, managed({"cluster_name": "x"})).variables["cluster_name"] == "mine"


def test_labels_and_tags_are_always_given():
    """A template may declare labels and tags without a default."""
    assert machine_variables(node(), None).values == {"labels": {}, "tags": {}}


def test_a_node_gets_the_outputs_of_its_group():
    """Outputs become values under their own names; what the node sets itself wins."""
    outputs = {"subnet_ids": ["s1"], "node_group": "ignored", "tags": "ignored", "cluster_name": "c"}
    result = machine_variables(
        node(values={"cluster_name": "mine"}), managed(outputs, {"name": "in-the-cloud"})
    )
    assert result.variables == {"instance_type": "t3.medium", "node_group": "in-the-cloud"}
    assert result.values == {
        "subnet_ids": ["s1"],
        "cluster_name": "mine",
        "labels": {},
        "tags": {},
    }


def test_own_variables_and_values_win():
    """A variable is either a string or a value, whichever was said last."""
    result = machine_variables(
        node(variables={"tags": "text", "node_group": "x"}, values={"instance_type": {"a": 1}}), None
    )
    assert result.variables == {"tags": "text", "node_group": "x"}
    assert result.values == {"labels": {}, "instance_type": {"a": 1}}


def test_a_group_gets_what_its_config_says():
    """Everything given arrives in snake_case and the provider's spelling; nothing else does."""
    config = {
        "instanceTypes": ["t3.large", "t3a.large"],
        "scaling": {"minSize": 1, "maxSize": 3, "desiredSize": 2},
        "capacityType": "Spot",
        "amiType": "AL2023_x86_64_STANDARD",
        "version": "1.33",
        "releaseVersion": "1.33.0-20260101",
        "diskSize": 50,
        "labels": {"a": "group"},
        "taints": [{"key": "k", "effect": "NoSchedule"}, {"key": "l", "value": "v", "effect": "NoExecute"}],
        "updateConfig": {"maxUnavailablePercentage": 33},
        "subnetIDs": ["s1"],
        "tags": {"env": "prod"},
    }
    found = machine(
        "g", spec={**GROUP, "labels": {"a": "machine", "b": "machine"}, "nodeGroupConfig": config}
    )
    result = machine_variables(found, None)
    assert result.variables == {"node_group": "g", "node_group_name": "g", "instance_type": "t3.large"}
    assert result.values == {
        "instance_types": ["t3.large", "t3a.large"],
        "min_size": 1,
        "max_size": 3,
        "desired_size": 2,
        "scaling": {"min_size": 1, "max_size": 3, "desired_size": 2},
        "capacity_type": "SPOT",
        "ami_type": "AL2023_x86_64_STANDARD",
        "kubernetes_version": "1.33",
        "release_version": "1.33.0-20260101",
        "disk_size": 50,
        "labels": {"a": "group", "b": "machine"},
        "taints": [
            {"key": "k", "value": "", "effect": "NO_SCHEDULE"},
            {"key": "l", "value": "v", "effect": "NO_EXECUTE"},
        ],
        "update_config": {"max_unavailable_percentage": 33},
        "subnet_ids": ["s1"],
        "tags": {"env": "prod"},
    }


def test_a_small_group_gets_little():
    """What the config leaves out is the module's to choose."""
    result = machine_variables(group_of({"name": "fixed"}), None)
    assert result.variables == {"node_group": "fixed", "node_group_name": "fixed"}
    assert result.values == {"labels": {}, "tags": {}}


def test_group_names():
    """A group is called as its config says, else as its machine; an external group as it is referred to."""
    assert group_name(group_of({}), None) == "g"
    assert group_name(group_of({"name": "fixed"}), None) == "fixed"
    assert group_name(node(), None) == "group"


def test_only_a_machine_with_a_config_is_a_group():
    """A node of the name, or nothing, means a group that capt does not manage."""
    assert node_group(node(), None, cross_namespace=False) is None
    assert node_group(node(), machine("group"), cross_namespace=False) is None
    assert node_group(node(), group_of({}, "group"), cross_namespace=False).consents


def test_groups_of_other_namespaces_must_consent():
    """A group of another namespace is used only if it, or the manager's flag, allows it."""
    elsewhere = {"namespace": "elsewhere"}
    closed = group_of({}, metadata=elsewhere)
    assert "does not allow" in node_group(node(), closed, cross_namespace=False).obstacle
    assert node_group(node(), closed, cross_namespace=True).consents
    annotations = {"capt.infrastructure.cluster.x-k8s.io/allowed-namespaces": "default"}
    open_group = group_of({}, metadata={**elsewhere, "annotations": annotations})
    assert node_group(node(), open_group, cross_namespace=False).consents
