"""What a set does with its machines next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from capt.api import CaptMachine, CaptMachineSet, LabelSelector
from capt.controllers import names
from capt.controllers.machine_set.deletion_order import deletion_order
from capt.controllers.machine_set.machine_manifest import machine_patch, machine_template
from capt.controllers.wording import counted, listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A set and its machines at one moment.

    Attributes:
        machine_set: The set.
        selector: What it selects, defaulted.
        machines: Its machines, those being deleted included.
        taken_names: Names that machines of the set could have and that others in the namespace have.
        now: The time of the observation.
    """

    machine_set: CaptMachineSet
    selector: LabelSelector
    machines: tuple[CaptMachine, ...]
    taken_names: frozenset[str]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinePlan:
    """What to do.

    Attributes:
        create: Names of the machines to make.
        delete: Machines to give up.
        patches: What must change in machines that stay, by name.
        held: Machines that are missing and are not made, because the set must not make any.
    """

    create: tuple[str, ...] = ()
    delete: tuple[CaptMachine, ...] = ()
    patches: Mapping[str, Mapping[str, object]]
    held: int = 0


def plan_machines(observation: Observation) -> MachinePlan:
    """Plan the way to `spec.replicas` machines of the current template.

    A machine on its way out counts until it is gone, as in Cluster API: its infrastructure still stands,
    and with a replacement beside it there would be more than was asked for.
    """
    machine_set = observation.machine_set
    machines: Sequence[CaptMachine] = observation.machines
    missing = machine_set.spec.replicas - len(machines)
    surplus = max(-missing, 0)
    if surplus:
        machines = deletion_order(machines, machine_set.spec.min_ready_seconds, observation.now)
    leaving = [each for each in machines[:surplus] if each.metadata.deletion_timestamp is None]
    staying = [each for each in machines[surplus:] if each.metadata.deletion_timestamp is None]
    may_create = machine_set.metadata.annotations.get(names.DISABLE_MACHINE_CREATE_ANNOTATION) != "true"
    taken = observation.taken_names | {each.metadata.name for each in observation.machines}
    template = machine_template(machine_set)
    patches = {each.metadata.name: machine_patch(template, each) for each in staying}
    return MachinePlan(
        create=free_names(machine_set, max(missing, 0), taken.__contains__) if may_create else (),
        delete=tuple(leaving),
        patches={name: patch for name, patch in patches.items() if patch},
        held=0 if may_create else max(missing, 0),
    )


def free_names(machine_set: CaptMachineSet, wanted: int, is_taken: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the first `wanted` names that are free, lowest ordinal first.

    The same question has the same answer, so a set that forgot what it did asks for the same machines again.
    """
    chosen: dict[str, None] = {}
    for ordinal in count():
        if len(chosen) >= wanted:
            break
        name = names.machine_name(machine_set.metadata.name, machine_set.metadata.uid, ordinal)
        if not is_taken(name):
            chosen[name] = None
    return tuple(chosen)


def summary(verb: str, machine_names: Sequence[str]) -> str:
    """Return one sentence about several machines; of many, the first ten are named."""
    return f"{verb} {counted(len(machine_names), 'machine')}: {listed(machine_names, 10)}"
