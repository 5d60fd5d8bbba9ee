"""What a set writes into its machines.

Labels and annotations of the template reach existing machines too. Others may put their own beside them, so
a set remembers on each machine which ones came from the template: only those are taken away when the
template drops them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from capt.api import CaptMachine, CaptMachineSet, CaptMachineSpec, LabelSelector
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineTemplate:
    """What every machine of a set gets.

    Attributes:
        labels: Those of the template, and the set's marks.
        annotations: Those of the template, and the names of what came from it.
        spec: The template's.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: CaptMachineSpec


def machine_template(machine_set: CaptMachineSet) -> MachineTemplate:
    """Return what every machine of a set gets."""
    template = machine_set.spec.template
    labels = dict(template.metadata.labels)
    labels[names.SET_NAME_LABEL] = names.label_value(machine_set.metadata.name)
    cluster = machine_set.metadata.labels.get(names.CLUSTER_NAME_LABEL)
    if cluster is not None:
        labels.setdefault(names.CLUSTER_NAME_LABEL, cluster)
    annotations = dict(template.metadata.annotations)
    propagated = {"labels": sorted(labels), "annotations": sorted(annotations)}
    annotations[PROPAGATED_ANNOTATION] = json.dumps(propagated, separators=(",", ":"))
    return MachineTemplate(labels=labels, annotations=annotations, spec=template.spec)


def new_machine(machine_set: CaptMachineSet, name: str) -> dict[str, Any]:
    """Return a machine of the set, owned and guarded from its first moment."""
    template = machine_template(machine_set)
    return {
        "metadata": {
            "name": name,
            "namespace": machine_set.metadata.namespace,
            "labels": dict(template.labels),
            "annotations": dict(template.annotations),
            "finalizers": [names.MACHINE_FINALIZER],
            "ownerReferences": [controller_reference(MACHINE_SET, machine_set)],
        },
        "spec": to_manifest(template.spec),
    }


def machine_patch(template: MachineTemplate, machine: CaptMachine) -> dict[str, Any]:
    """Return what must change in an existing machine for it to follow its set in place; empty when nothing does."""
    metadata = machine.metadata
    # nearly always; the rest is a hundred times as much work, and there may be thousands of machines
    if (
        machine.spec == template.spec
        and template.labels.items() <= metadata.labels.items()
        and template.annotations.items() <= metadata.annotations.items()
    ):
        return {}
    came = _propagated(machine)
    labels = {k: v for k, v in metadata.labels.items() if k not in came["labels"]}
    annotations = {k: v for k, v in metadata.annotations.items() if k not in came["annotations"]}
    before = {
        "metadata": {"labels": dict(metadata.labels), "annotations": dict(metadata.annotations)},
        "spec": to_manifest(machine.spec),
    }
    after = {
        "metadata": {
            "labels": {**labels, **template.labels},
            "annotations": {**annotations, **template.annotations},
        },
        "spec": with_in_place_fields(machine.spec, template.spec),
    }
    return difference(before, after)


def labels_with_pending(template: MachineTemplate, machine: CaptMachine) -> Mapping[str, str]:
    """Return the labels of a machine, and those of the template that have never reached it.

    By these a set judges whether a machine is still its own: a selector and its label may be added to a set
    in one edit, and machines made before must not be let go for that.
    """
    if template.labels.keys() <= machine.metadata.labels.keys():
        return machine.metadata.labels
    came = _propagated(machine)["labels"]
    pending = {name: value for name, value in template.labels.items() if name not in came}
    return pending | dict(machine.metadata.labels)


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
