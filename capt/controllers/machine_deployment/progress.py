"""Whether a rollout still moves.

apps/v1 keeps the time of the last progress in a field that `metav1.Condition` does not have. Here it is
read off what happened: when a set was made or scaled, when a machine was made, became ready, or began to
go. Nothing has to be remembered, so a restart of the manager neither forgives a stuck rollout nor condemns
one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from capt.controllers.machine_deployment.observation import Observation, created
from capt.controllers.machine_deployment.set_manifest import SCALED_AT_ANNOTATION
from capt.runtime.conditions import find_condition


def last_progress(observation: Observation) -> datetime:
    """Return when the rollout last moved; the deployment's creation when it never has."""
    deployment = observation.deployment
    moments = list(_moments(observation))
    progressing = find_condition(deployment.status.conditions, "Progressing")
    if progressing is not None and progressing.status == "True":
        # a pause that ended is a new start
        moments.append(progressing.last_transition_time)
    return max(moments, default=deployment.metadata.creation_timestamp or observation.now)


def remaining(observation: Observation) -> float:
    """Return the seconds that are left until a rollout without progress counts as stuck; 0 or less when it does."""
    deadline = last_progress(observation) + timedelta(
        seconds=observation.deployment.spec.progress_deadline_seconds
    )
    return (deadline - observation.now).total_seconds()


def _moments(observation: Observation) -> Iterator[datetime]:
    for machine_set in observation.sets:
        yield created(machine_set)
        scaled_at = _parse_time(machine_set.metadata.annotations.get(SCALED_AT_ANNOTATION, ""))
        if scaled_at is not None:
            yield scaled_at
        for machine in observation.machines.get(machine_set.metadata.uid, ()):
            if machine.metadata.creation_timestamp is not None:
                yield machine.metadata.creation_timestamp
            if machine.metadata.deletion_timestamp is not None:
                yield machine.metadata.deletion_timestamp
            ready = find_condition(machine.status.conditions, "Ready")
            if ready is not None and ready.status == "True":
                yield ready.last_transition_time


def _parse_time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
