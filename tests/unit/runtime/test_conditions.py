"""Conditions keep their transition time, and owners are told by uid."""

from datetime import UTC, datetime

import pytest
from pydantic import BaseModel, ConfigDict

from capt.runtime import controller_reference, find_condition, is_controlled_by, is_true, set_condition
from tests.support.things import THING, Metadata, Owner, Thing

THEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Condition(BaseModel):
    model_config = ConfigDict(frozen=True)
    type: str
    status: str
    reason: str = "Because"
    message: str = ""
    observed_generation: int | None = None
    last_transition_time: datetime | None = None


READY = Condition(type="Ready", status="True", last_transition_time=THEN)
SYNCED = Condition(type="Synced", status="False", last_transition_time=THEN)


class TestSetCondition:
    def test_an_equal_status_keeps_the_transition_time(self):
        """A new reason or message is no transition."""
        new = READY.model_copy(update={"reason": "Other", "message": "m", "last_transition_time": NOW})
        (kept,) = set_condition([READY], new)
        assert (kept.reason, kept.message, kept.last_transition_time) == ("Other", "m", THEN)

    def test_another_status_takes_the_new_time(self):
        """A transition is dated when it happens."""
        new = READY.model_copy(update={"status": "False", "last_transition_time": NOW})
        assert set_condition([READY], new) == (new,)

    def test_setting_the_same_facts_changes_nothing(self):
        """Equal facts give an equal tuple, so no status write follows."""
        conditions = (READY, SYNCED)
        assert set_condition(conditions, READY.model_copy(update={"last_transition_time": NOW})) == conditions

    def test_order_is_stable_and_new_types_go_last(self):
        """Others never move."""
        new = Condition(type="Extra", status="True", last_transition_time=NOW)
        changed = set_condition((READY, SYNCED), SYNCED.model_copy(update={"status": "True"}))
        assert [c.type for c in changed] == ["Ready", "Synced"]
        assert [c.type for c in set_condition(changed, new)] == ["Ready", "Synced", "Extra"]


def test_find_and_is_true():
    """A missing condition is not true, nor is Unknown."""
    conditions = (READY, SYNCED, Condition(type="Maybe", status="Unknown"))
    assert find_condition(conditions, "Synced") is SYNCED
    assert find_condition(conditions, "Nope") is None
    assert [is_true(conditions, t) for t in ("Ready", "Synced", "Maybe", "Nope")] == [
        True,
        False,
        False,
        False,
    ]


class TestOwners:
    OWNER = Thing(metadata=Metadata(name="o", namespace="ns", uid="u1"))

    def test_a_controller_reference_is_complete(self):
        """The reference holds what the garbage collector and an owner watch look at."""
        assert controller_reference(THING, self.OWNER) == {
            "apiVersion": "test.dev/v1",
            "kind": "Thing",
            "name": "o",
            "uid": "u1",
            "controller": True,
            "blockOwnerDeletion": True,
        }

    @pytest.mark.parametrize(
        ("reference", "controlled"),
        [
            (Owner(uid="u1", controller=True), True),
            (Owner(uid="u1", controller=False), False),
            (Owner(uid="u1"), False),
            (Owner(uid="u2", controller=True), False),
        ],
    )
    def test_control_goes_by_uid(self, reference, controlled):
        """A namesake that was made later does not control."""
        child = Thing(metadata=Metadata(name="c", owner_references=(reference,)))
        assert is_controlled_by(child, self.OWNER) is controlled
