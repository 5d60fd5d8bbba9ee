"""What a deployment writes into its sets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from capt.api import CaptMachineDeployment, CaptMachineSet
from capt.controllers import names
from capt.controllers.in_place import with_in_place_fields
from capt.controllers.kinds import MACHINE_DEPLOYMENT
from capt.controllers.machine_deployment.history import current_revision
from capt.controllers.machine_deployment.observation import Observation, effective_selector
from capt.controllers.manifest import to_manifest
from capt.runtime.merge_patch import difference
from capt.runtime.owners import controller_reference

SCALED_AT_ANNOTATION: Final = "captmachinedeployment.infrastructure.cluster.x-k8s.io/scaled-at"
"""On a set: when the deployment last changed its size; the progress deadline counts from it."""


def new_set(observation: Observation, replicas: int) -> dict[str, Any]:
    """Return the set of the current template, owned and guarded from its first moment."""
    deployment = observation.deployment
    labels = _machine_labels(deployment) | {names.DEPLOYMENT_HASH_LABEL: observation.new_hash}
    selector = to_manifest(effective_selector(deployment))
    selector["matchLabels"] = {
        **selector.get("matchLabels", {}),
        names.DEPLOYMENT_HASH_LABEL: observation.new_hash,
    }
    annotations = {
        names.DEPLOYMENT_REVISION_ANNOTATION: str(current_revision(None, observation.old)),
        SCALED_AT_ANNOTATION: format_time(observation.now),
    }
    return {
        "metadata": {
            "name": observation.new_name,
            "namespace": deployment.metadata.namespace,
            "labels": labels,
            "annotations": annotations,
            "finalizers": [names.MACHINE_SET_FINALIZER],
            "ownerReferences": [controller_reference(MACHINE_DEPLOYMENT, deployment)],
        },
        "spec": {
            "replicas": replicas,
            "selector": selector,
            "minReadySeconds": deployment.spec.min_ready_seconds,
            "template": {
                "metadata": _template_metadata(deployment, labels),
                "spec": to_manifest(deployment.spec.template.spec),
            },
        },
    }


def set_patch(
    observation: Observation, machine_set: CaptMachineSet, sizes: Mapping[str, int]
) -> dict[str, Any]:
    """Return what must change in an existing set; empty when nothing does.

    The set of the current template follows the deployment in all that changes in place. Old sets stay as
    they were, so that they can be gone back to; only `minReadySeconds` reaches them too.
    """
    deployment, name = observation.deployment, machine_set.metadata.name
    is_new = machine_set is observation.new
    before = _written_part(machine_set)
    annotations: dict[str, str] = dict(before["metadata"]["annotations"])
    spec: dict[str, Any] = dict(before["spec"])
    spec["minReadySeconds"] = deployment.spec.min_ready_seconds
    if name in sizes:
        spec["replicas"] = sizes[name]
        annotations[SCALED_AT_ANNOTATION] = format_time(observation.now)
    if is_new:
        annotations[names.DEPLOYMENT_REVISION_ANNOTATION] = str(
            current_revision(machine_set, observation.old)
        )
        spec["template"] = _followed_template(deployment, machine_set)
    # a machine that a user deletes from an old set is to be replaced by one of the new set
    if not is_new and deployment.spec.strategy.type == "OnDelete":
        annotations[names.DISABLE_MACHINE_CREATE_ANNOTATION] = "true"
    else:
        annotations.pop(names.DISABLE_MACHINE_CREATE_ANNOTATION, None)
    return difference(before, {"metadata": {"annotations": annotations}, "spec": spec})


def format_time(moment: datetime) -> str:
    """Return a time as it stands in annotations: RFC 3339, UTC, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _written_part(machine_set: CaptMachineSet) -> dict[str, Any]:
    spec = machine_set.spec
    return {
        "metadata": {"annotations": dict(machine_set.metadata.annotations)},
        "spec": {
            "replicas": spec.replicas,
            "minReadySeconds": spec.min_ready_seconds,
            "template": to_manifest(spec.template),
        },
    }


def _followed_template(deployment: CaptMachineDeployment, machine_set: CaptMachineSet) -> dict[str, Any]:
    # what the set selects by, its hash first of all, is its own
    own = machine_set.spec.selector.match_labels if machine_set.spec.selector is not None else {}
    labels = {**_machine_labels(deployment), **own}
    return {
        "metadata": _template_metadata(deployment, labels),
        "spec": with_in_place_fields(machine_set.spec.template.spec, deployment.spec.template.spec),
    }


def _template_metadata(deployment: CaptMachineDeployment, labels: Mapping[str, str]) -> dict[str, Any]:
    annotations = dict(deployment.spec.template.metadata.annotations)
    return {"labels": dict(labels)} | ({"annotations": annotations} if annotations else {})


def _machine_labels(deployment: CaptMachineDeployment) -> dict[str, str]:
    labels = dict(deployment.spec.template.metadata.labels)
    labels[names.DEPLOYMENT_NAME_LABEL] = names.label_value(deployment.metadata.name)
    cluster = deployment.metadata.labels.get(names.CLUSTER_NAME_LABEL)
    if cluster is not None:
        labels.setdefault(names.CLUSTER_NAME_LABEL, cluster)
    return labels
