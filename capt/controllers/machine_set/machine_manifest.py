"""What a set writes into its machines.

Labels and annotations of the template reach existing machines too. Others may put their own beside them, so
a set remembers on each machine which ones came from the template: only those are taken away when the
template drops them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from capt.api import CaptMachine, CaptMachineSet, LabelSelector
from capt.controllers import names
from capt.controllers.in_place import with_in_place_fields
from capt.controllers.kinds import MACHINE_SET
from capt.controllers.manifest import to_manifest
from capt.runtime.merge_patch import difference
from capt.runtime.owners import controller_reference

PROPAGATED_ANNOTATION: Final = "captmachineset.infrastructure.cluster.x-k8s.io/propagated"
"""On a machine: names of the labels and annotations that came from the template, as JSON."""


def effective_selector(machine_set: CaptMachineSet) -> LabelSelector:
    """Return what a set selects: its `selector`, or by default its own name as a label."""
    return machine_set.spec.selector or LabelSelector(
        match_labels={names.SET_NAME_LABEL: names.label_value(machine_set.metadata.name)}
    )


def new_machine(machine_set: CaptMachineSet, name: str) -> dict[str, Any]:
    """Return a machine of the set, owned and guarded from its first moment."""
    return {
        "metadata": {
            "name": name,
            "namespace": machine_set.metadata.namespace,
            "labels": _labels(machine_set),
            "annotations": _annotations(machine_set),
            "finalizers": [names.MACHINE_FINALIZER],
            "ownerReferences": [controller_reference(MACHINE_SET, machine_set)],
        },
        "spec": to_manifest(machine_set.spec.template.spec),
    }


def machine_patch(machine_set: CaptMachineSet, machine: CaptMachine) -> dict[str, Any]:
    """Return what must change in an existing machine for it to follow its set in place; empty when nothing does."""
    labels, annotations = dict(machine.metadata.labels), dict(machine.metadata.annotations)
    came = _propagated(machine)
    before = {
        "metadata": {"labels": dict(labels), "annotations": dict(annotations)},
        "spec": to_manifest(machine.spec),
    }
    for values, old_names, wanted in (
        (labels, came["labels"], _labels(machine_set)),
        (annotations, came["annotations"], _annotations(machine_set)),
    ):
        for name in old_names:
            if name not in wanted:
                values.pop(name, None)
        values.update(wanted)
    after = {
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": with_in_place_fields(machine.spec, machine_set.spec.template.spec),
    }
    return difference(before, after)


def labels_with_pending(machine_set: CaptMachineSet, machine: CaptMachine) -> Mapping[str, str]:
    """Return the labels of a machine, and those of the template that have never reached it.

    By these a set judges whether a machine is still its own: a selector and its label may be added to a set
    in one edit, and machines made before must not be let go for that.
    """
    came = _propagated(machine)["labels"]
    pending = {name: value for name, value in _labels(machine_set).items() if name not in came}
    return pending | dict(machine.metadata.labels)


def _labels(machine_set: CaptMachineSet) -> dict[str, str]:
    labels = dict(machine_set.spec.template.metadata.labels)
    labels[names.SET_NAME_LABEL] = names.label_value(machine_set.metadata.name)
    cluster = machine_set.metadata.labels.get(names.CLUSTER_NAME_LABEL)
    if cluster is not None:
        labels.setdefault(names.CLUSTER_NAME_LABEL, cluster)
    return labels


def _annotations(machine_set: CaptMachineSet) -> dict[str, str]:
    annotations = dict(machine_set.spec.template.metadata.annotations)
    propagated = {"labels": sorted(_labels(machine_set)), "annotations": sorted(annotations)}
    annotations[PROPAGATED_ANNOTATION] = json.dumps(propagated, separators=(",", ":"))
    return annotations


def _propagated(machine: CaptMachine) -> dict[str, frozenset[str]]:
    text = machine.metadata.annotations.get(PROPAGATED_ANNOTATION, "")
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        found = {}
    if not isinstance(found, dict):
        found = {}
    return {
        part: frozenset(each for each in found.get(part) or () if isinstance(each, str))
        for part in ("labels", "annotations")
    }
