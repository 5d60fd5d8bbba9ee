"""A Workspace's status is believed for the spec that it is about, and for no other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from capt.api import WorkspaceStatus
from capt.controllers.workspace import State, assess, spec_written
from tests.support.chain import NOW, condition, conditions, envelope, workspace

OK = conditions("True", "True")


@pytest.mark.parametrize(
    ("status", "generation", "state"),
    [
        ({}, 1, State.APPLYING),
        (conditions("True", None), 1, State.APPLYING),
        (conditions("False", "True"), 1, State.APPLYING),
        (conditions(None, "True"), 1, State.APPLYING),
        (conditions("True", "Unknown"), 1, State.APPLYING),
        (conditions("True", "True"), 1, State.AVAILABLE),
        (conditions("True", "False"), 1, State.FAILED),
        (conditions("False", "False"), 1, State.FAILED),
        (conditions(None, "False"), 1, State.FAILED),
        (conditions("True", "True", generation=1), 2, State.APPLYING),
        (conditions("True", "False", generation=1), 2, State.APPLYING),
        (conditions("True", "True", generation=2), 2, State.AVAILABLE),
        (conditions("True", "False", generation=2), 2, State.FAILED),
    ],
)
def test_table(status: dict[str, Any], generation: int, state: State) -> None:
    """Ready and Synced together, each for the current generation, make a Workspace available; Synced alone fails it."""
    assert assess(workspace(status=status, metadata={"generation": generation}), now=NOW).state is state


def test_order_of_conditions() -> None:
    """Providers write conditions in either order."""
    status = {"conditions": list(reversed(OK["conditions"]))}
    assert assess(workspace(status=status), now=NOW).state is State.AVAILABLE


@pytest.mark.parametrize(
    ("synced", "state"), [(1, State.APPLYING), (2, State.AVAILABLE), (3, State.AVAILABLE)]
)
def test_age_on_synced_only(synced: int, state: State) -> None:
    """crossplane-runtime 2 sets observedGeneration on Synced, while the provider's Ready has none."""
    status = {
        "conditions": [condition("Ready", "True"), condition("Synced", "True", observedGeneration=synced)]
    }
    assert assess(workspace(status=status, metadata={"generation": 2}), now=NOW).state is state


@pytest.mark.parametrize(("synced", "state"), [("False", State.FAILED), ("True", State.AVAILABLE)])
def test_ready_of_an_earlier_run(synced: str, state: State) -> None:
    """A run that leaves Ready as it was ends all the same: its Synced is about the current generation."""
    status = {
        "conditions": [
            condition("Ready", "True", observedGeneration=1),
            condition("Synced", synced, observedGeneration=2),
        ]
    }
    assert assess(workspace(status=status, metadata={"generation": 2}), now=NOW).state is state


@pytest.mark.parametrize(("observed", "state"), [(1, State.APPLYING), (2, State.AVAILABLE)])
def test_age_on_the_status(observed: int, state: State) -> None:
    """A provider that sets observedGeneration on the status alone is believed too."""
    status = {**OK, "observedGeneration": observed}
    assert assess(workspace(status=status, metadata={"generation": 2}), now=NOW).state is state


class TestProviderWithoutAges:
    """A provider that never sets observedGeneration, after our write of the spec."""

    def after_write(self, status: dict[str, Any], *, seconds: float) -> Any:
        written = spec_written(WorkspaceStatus.model_validate(OK), NOW)
        item = workspace(status=status, metadata={"generation": 2, "annotations": written})
        return assess(item, now=NOW + timedelta(seconds=seconds))

    def test_the_old_status_is_not_believed(self) -> None:
        """The status that was there when we wrote is about the former spec; time will tell."""
        found = self.after_write(OK, seconds=10)
        assert (found.state, found.recheck) == (State.APPLYING, 20)

    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ({**OK, "atProvider": {"checksum": "new"}}, State.AVAILABLE),
            (conditions("True", "False"), State.FAILED),
        ],
    )
    def test_a_new_status_is_believed(self, status: dict[str, Any], state: State) -> None:
        """A status that has changed since our write is about the spec that we wrote."""
        assert self.after_write(status, seconds=1).state is state

    def test_the_same_status_is_believed_after_a_while(self) -> None:
        """A provider that had nothing to do writes nothing; after 30 seconds its status counts."""
        assert self.after_write(OK, seconds=30).state is State.AVAILABLE

    def test_a_clock_that_was_set_back(self) -> None:
        """A clock that was set back by a day does not make us wait for a day."""
        assert self.after_write(OK, seconds=-86400).recheck == 30

    def test_a_fresh_workspace(self) -> None:
        """What appears on a Workspace that was just made is about the spec that it was made with."""
        assert assess(workspace(status=OK), now=NOW).state is State.AVAILABLE


def test_failure() -> None:
    """A failure says what Terraform said."""
    synced = condition("Synced", "False", reason="ReconcileError", message=envelope("Error: no such region"))
    found = assess(workspace(status={"conditions": [synced]}), now=NOW)
    assert found.message == "create failed: cannot apply Terraform configuration: Error: no such region"


@pytest.mark.parametrize(
    ("reason", "message", "state"),
    [
        ("ReconcilePaused", "", State.PAUSED),
        (
            "ReconcileError",
            "cannot determine creation result - remove the annotation if it is safe to proceed",
            State.CREATE_PENDING,
        ),
    ],
)
def test_states_that_do_not_end_by_themselves(reason: str, message: str, state: State) -> None:
    """A paused Workspace, and one whose creation was cut off, are recognised whatever their generation."""
    synced = condition("Synced", "False", reason=reason, message=message, observedGeneration=1)
    item = workspace(status={"conditions": [synced]}, metadata={"generation": 2})
    assert assess(item, now=NOW).state is state


def test_deleting() -> None:
    """A Workspace that is being deleted is nothing else, however ready it was."""
    item = workspace(status=OK, metadata={"deletionTimestamp": "2026-01-01T11:59:00Z"})
    assert assess(item, now=NOW).state is State.DELETING
