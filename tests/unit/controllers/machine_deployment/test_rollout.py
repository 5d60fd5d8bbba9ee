from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capt.controllers.machine_deployment.rollout import (
    RolloutPlan,
    SetState,
    plan_on_delete,
    plan_recreate,
    plan_rolling_update,
    resolve_fenceposts,
)


def s(name: str, spec: int, replicas: int | None = None, available: int | None = None) -> SetState:
    replicas = spec if replicas is None else replicas
    return SetState(
        name=name,
        spec_replicas=spec,
        replicas=replicas,
        available_replicas=replicas if available is None else available,
    )


# fenceposts


@pytest.mark.parametrize(
    ("surge", "unavailable", "desired", "expected"),
    [
        (None, None, 3, (1, 0)),
        (None, "39%", 10, (1, 3)),
        ("39%", None, 10, (4, 0)),
        ("39%", "39%", 10, (4, 3)),
        ("1%", "1%", 10, (1, 0)),
        ("0%", "1%", 10, (0, 1)),
        ("25%", "25%", 1, (1, 0)),
        (0, 0, 4, (0, 1)),
        (0, 10, 6, (0, 6)),
        (10, 0, 6, (10, 0)),
        (1, 1, 0, (1, 0)),
        ("0%", "0%", 0, (0, 0)),
        ("100%", "100%", 3, (3, 3)),
    ],
)
def test_fenceposts(surge, unavailable, desired, expected):
    """Surge rounds up, unavailable down; both zero means one unavailable; unavailable is at most desired."""
    assert resolve_fenceposts(surge, unavailable, desired) == expected


@pytest.mark.parametrize("bad", ["oops", "5", "-5%", "5.5%", "% 5", ""])
def test_fenceposts_refuse_what_is_no_percentage(bad):
    """Text that is no percentage is refused and named."""
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        resolve_fenceposts(bad, 0, 10)
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        resolve_fenceposts(1, bad, 10)


# rolling update, by table


@pytest.mark.parametrize(
    ("desired", "surge", "unavailable", "new", "old", "expected"),
    [
        pytest.param(3, 1, 0, s("n", 0), [], {"n": 3}, id="a first set starts with all machines"),
        pytest.param(3, 1, 0, s("n", 0), [s("a", 3)], {"n": 1}, id="a rollout starts with the surge"),
        pytest.param(3, 1, 0, s("n", 1, 1, 0), [s("a", 3)], {}, id="old machines wait for the new one"),
        pytest.param(
            3, 1, 0, s("n", 1), [s("a", 3)], {"a": 2}, id="an available new machine frees an old one"
        ),
        pytest.param(3, 1, 0, s("n", 1), [s("a", 2, 3, 3)], {}, id="no surge while the old one is going"),
        pytest.param(3, 1, 0, s("n", 1), [s("a", 2)], {"n": 2}, id="the next new one after it is gone"),
        pytest.param(3, 1, 0, s("n", 3), [s("a", 1)], {"a": 0}, id="the last old machine goes"),
        pytest.param(3, 1, 0, s("n", 3), [s("a", 0)], {}, id="a complete rollout plans nothing"),
        pytest.param(3, 0, 1, s("n", 0), [s("a", 3)], {"a": 2}, id="without surge an old one goes first"),
        pytest.param(3, 0, 3, s("n", 0), [s("a", 3)], {"a": 0}, id="all may be unavailable: all go"),
        pytest.param(0, 1, 0, s("n", 0), [s("a", 3)], {"a": 0}, id="zero desired empties old sets"),
        pytest.param(0, 1, 0, s("n", 3), [], {"n": 0}, id="zero desired empties the new set"),
        pytest.param(2, 1, 0, s("n", 5), [], {"n": 2}, id="a scale-down hits the new set at once"),
        pytest.param(5, 1, 0, s("n", 3), [], {"n": 5}, id="a scale-up goes to the new set at once"),
        pytest.param(6, 10, 0, s("n", 0), [s("a", 6)], {"n": 6}, id="surge is not capped, the new set is"),
        pytest.param(
            3,
            1,
            1,
            s("n", 0),
            [s("a", 3, 3, 0)],
            {"n": 1, "a": 2},
            id="a broken set shrinks though none is available",
        ),
        pytest.param(
            3, 1, 0, s("n", 3), [s("a", 3, 3, 0)], {"a": 0}, id="a broken set goes whole at the end"
        ),
        pytest.param(
            3,
            1,
            0,
            s("n", 1),
            [s("a", 3, 1, 1)],
            {"a": 2},
            id="a machine not yet made is no longer asked for",
        ),
        pytest.param(
            3, 1, 1, s("n", 0), [s("a", 1), s("b", 2)], {"n": 1, "a": 0}, id="the oldest set shrinks first"
        ),
        pytest.param(
            3,
            1,
            1,
            s("n", 0),
            [s("a", 1), s("b", 2, 2, 0)],
            {"n": 1, "b": 1},
            id="unavailable machines go before available ones of an older set",
        ),
        pytest.param(
            3,
            1,
            0,
            s("n", 1),
            [s("a", 3, 3, 2)],
            {"a": 2},
            id="deadlock: one of a half broken set is given up",
        ),
        pytest.param(
            3,
            1,
            0,
            s("n", 1, 1, 0),
            [s("a", 3, 3, 2)],
            {},
            id="no breaker while new machines are unavailable too",
        ),
        pytest.param(3, 1, 0, s("n", 1, 0, 0), [s("a", 3, 3, 2)], {}, id="no breaker while a set is scaling"),
    ],
)
def test_rolling_update(desired, surge, unavailable, new, old, expected):
    """One step of a rolling update, worked out by hand."""
    plan = plan_rolling_update(
        desired=desired, max_surge=surge, max_unavailable=unavailable, new=new, old=old
    )
    assert plan.replicas == expected
    assert plan.reasons.keys() == expected.keys()


def test_rolling_update_gives_reasons_with_numbers():
    """Every change says in numbers why it is made."""
    grow = plan_rolling_update(desired=3, max_surge=1, max_unavailable=0, new=s("n", 0), old=[s("a", 3)])
    assert grow.reasons == {"n": "grows by 1: 3 machines now, 3 desired + 1 surge are allowed"}
    shrink = plan_rolling_update(desired=3, max_surge=1, max_unavailable=0, new=s("n", 1), old=[s("a", 3)])
    assert shrink.reasons == {"a": "gives up 1 machine: 4 are available, 3 must be"}
    stuck = plan_rolling_update(
        desired=3, max_surge=1, max_unavailable=0, new=s("n", 1), old=[s("a", 3, 3, 2)]
    )
    assert stuck.reasons == {"a": "gives up 1 machine to free a stuck rollout: 1 of 3 are unavailable"}


# on delete and recreate, by table


@pytest.mark.parametrize(
    ("desired", "new", "old", "expected"),
    [
        pytest.param(3, s("n", 0), [], {"n": 3}, id="a first set starts with all machines"),
        pytest.param(3, s("n", 0), [s("a", 3)], {}, id="a changed template alone moves nothing"),
        pytest.param(3, s("n", 0), [s("a", 3, 2, 2)], {"a": 2}, id="a deleted old machine is not made again"),
        pytest.param(3, s("n", 0), [s("a", 2)], {"n": 1}, id="the new set fills the gap"),
        pytest.param(5, s("n", 1), [s("a", 2)], {"n": 3}, id="a scale-up goes to the new set"),
        pytest.param(
            2, s("n", 1), [s("a", 1), s("b", 2)], {"a": 0, "b": 1}, id="a scale-down starts with the oldest"
        ),
        pytest.param(
            2, s("n", 3), [s("a", 2)], {"n": 2, "a": 0}, id="new set above desired and old ones left"
        ),
        pytest.param(
            2,
            s("n", 0),
            [s("a", 4, 3, 3)],
            {"a": 2},
            id="what is missing and what is too much add up in one pass",
        ),
        pytest.param(0, s("n", 1), [s("a", 1)], {"n": 0, "a": 0}, id="zero desired empties everything"),
    ],
)
def test_on_delete(desired, new, old, expected):
    """One step of OnDelete, worked out by hand."""
    plan = plan_on_delete(desired=desired, new=new, old=old)
    assert plan.replicas == expected
    assert plan.reasons.keys() == expected.keys()


@pytest.mark.parametrize(
    ("desired", "new", "old", "expected"),
    [
        pytest.param(3, s("n", 0), [], {"n": 3}, id="a first set starts with all machines"),
        pytest.param(
            3, s("n", 0), [s("a", 2), s("b", 1)], {"a": 0, "b": 0}, id="all old sets are emptied at once"
        ),
        pytest.param(
            3, s("n", 0), [s("a", 0, 1, 0)], {}, id="one machine on its way out holds the new set back"
        ),
        pytest.param(3, s("n", 0), [s("a", 0)], {"n": 3}, id="then all new machines start together"),
        pytest.param(1, s("n", 3), [s("a", 1)], {"n": 1, "a": 0}, id="a scale-down does not wait"),
    ],
)
def test_recreate(desired, new, old, expected):
    """One step of Recreate, worked out by hand."""
    assert plan_recreate(desired=desired, new=new, old=old).replicas == expected


# invariants, on any state


@st.composite
def any_set(draw: st.DrawFn, name: str) -> SetState:
    spec = draw(st.integers(0, 8))
    replicas = draw(st.one_of(st.just(spec), st.integers(0, 9)))
    available = draw(st.one_of(st.just(replicas), st.integers(0, replicas)))
    return s(name, spec, replicas, available)


any_old = st.integers(0, 4).flatmap(lambda n: st.tuples(*(any_set(f"old-{i}") for i in range(n))))


def after(plan: RolloutPlan, each: SetState) -> int:
    return plan.replicas.get(each.name, each.spec_replicas)


@given(
    desired=st.integers(0, 8),
    surge=st.integers(0, 4),
    unavailable=st.integers(0, 9),
    new=any_set("new"),
    old=any_old,
)
def test_rolling_update_keeps_its_promises(desired, surge, unavailable, new, old):
    """On any state growth stays within the surge, old sets never grow, no step goes below the minimum."""
    plan = plan_rolling_update(
        desired=desired, max_surge=surge, max_unavailable=unavailable, new=new, old=old
    )
    everyone = (*old, new)
    assert all(
        plan.replicas[each.name] != each.spec_replicas for each in everyone if each.name in plan.replicas
    )
    if after(plan, new) > new.spec_replicas:
        total = sum(max(each.spec_replicas, each.replicas) for each in everyone)
        assert total + after(plan, new) - new.spec_replicas <= desired + surge
    assert after(plan, new) <= max(desired, new.spec_replicas)
    assert all(0 <= after(plan, each) <= each.spec_replicas for each in old)
    shrunk_old = [each for each in old if after(plan, each) < each.spec_replicas]
    if not shrunk_old or any("stuck" in reason for reason in plan.reasons.values()):
        return
    available = sum(each.available_replicas for each in everyone)
    hit = sum(min(each.available_replicas, max(each.replicas - after(plan, each), 0)) for each in shrunk_old)
    assert hit == 0 or available - hit >= max(desired - unavailable, 0)


@given(desired=st.integers(0, 8), new=any_set("new"), old=any_old)
def test_on_delete_never_grows_old_sets_nor_exceeds_desired(desired, new, old):
    """On any state OnDelete grows no old set and, growing, never asks for more than desired."""
    plan = plan_on_delete(desired=desired, new=new, old=old)
    assert all(0 <= after(plan, each) <= each.spec_replicas for each in old)
    if after(plan, new) > new.spec_replicas:
        assert after(plan, new) + sum(max(e.spec_replicas, e.replicas) for e in old) <= desired


@given(desired=st.integers(0, 8), new=any_set("new"), old=any_old)
def test_recreate_never_runs_two_templates_side_by_side(desired, new, old):
    """On any state: Recreate grows the new set only when no old machine exists or is asked for."""
    plan = plan_recreate(desired=desired, new=new, old=old)
    assert all(after(plan, each) == 0 for each in old)
    if after(plan, new) > new.spec_replicas:
        assert all(each.replicas == 0 and each.spec_replicas == 0 for each in old)


# whole rollouts


@dataclass
class Fleet:
    """Sets that do what they are asked, one machine at a time, in an order that the test chooses."""

    new: SetState
    old: list[SetState]

    def ask(self, plan: RolloutPlan) -> None:
        self.new = replace(self.new, spec_replicas=after(plan, self.new))
        self.old = [replace(each, spec_replicas=after(plan, each)) for each in self.old]

    def moves(self) -> list[tuple[int, str]]:
        found = []
        for index, each in enumerate([*self.old, self.new]):
            if each.replicas < each.spec_replicas:
                found.append((index, "create"))
            if each.replicas > each.spec_replicas:
                found.append((index, "delete"))
            if each.available_replicas < each.replicas:
                found.append((index, "mature"))
        return found

    def make(self, index: int, move: str) -> None:
        sets = [*self.old, self.new]
        each = sets[index]
        if move == "create":
            each = replace(each, replicas=each.replicas + 1)
        elif move == "mature":
            each = replace(each, available_replicas=each.available_replicas + 1)
        else:  # the worst case: an available machine goes first
            each = replace(
                each, replicas=each.replicas - 1, available_replicas=max(each.available_replicas - 1, 0)
            )
        sets[index] = each
        self.old, self.new = sets[:-1], sets[-1]

    @property
    def machines(self) -> int:
        return self.new.replicas + sum(each.replicas for each in self.old)

    @property
    def available(self) -> int:
        return self.new.available_replicas + sum(each.available_replicas for each in self.old)


def run(
    fleet: Fleet,
    plan: Callable[[SetState, Sequence[SetState]], RolloutPlan],
    choose: Callable[[int], int],
    check: Callable[[Fleet], None],
) -> None:
    for _ in range(500):
        step = plan(fleet.new, fleet.old)
        fleet.ask(step)
        moves = fleet.moves()
        if not moves and not step.replicas:
            return
        if moves:
            fleet.make(*moves[choose(len(moves))])
        check(fleet)
    raise AssertionError(f"the rollout does not end: {fleet}")


@given(
    desired=st.integers(0, 6),
    fences=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    generations=st.integers(1, 3),
    random=st.randoms(use_true_random=False),
)
def test_rolling_update_ends_and_holds_its_bounds_on_the_way(desired, fences, generations, random):
    """In any order of events there are never too many machines nor too few available ones."""
    surge, unavailable = resolve_fenceposts(*fences, desired)
    counts = [0] * generations
    for _ in range(desired):
        counts[random.randrange(generations)] += 1
    fleet = Fleet(new=s("new", 0), old=[s(f"old-{i}", count) for i, count in enumerate(counts)])

    def check(state: Fleet) -> None:
        assert state.machines <= desired + surge
        assert state.available >= desired - unavailable

    run(
        fleet,
        lambda new, old: plan_rolling_update(
            desired=desired, max_surge=surge, max_unavailable=unavailable, new=new, old=old
        ),
        random.randrange,
        check,
    )
    assert (fleet.new.spec_replicas, fleet.new.available_replicas) == (desired, desired)
    assert all(each.replicas == 0 for each in fleet.old)


@given(new=any_set("new"), old=any_old, desired=st.integers(0, 6), random=st.randoms(use_true_random=False))
def test_rolling_update_ends_from_any_state(new, old, desired, random):
    """From any state, a rollout whose machines mature in the end reaches the desired fleet."""
    fleet = Fleet(new=new, old=list(old))
    run(
        fleet,
        lambda new, old: plan_rolling_update(
            desired=desired, max_surge=1, max_unavailable=0, new=new, old=old
        ),
        random.randrange,
        lambda _: None,
    )
    assert fleet.new.available_replicas == desired
    assert all(each.replicas == 0 for each in fleet.old)


@given(old=any_old, desired=st.integers(0, 6), random=st.randoms(use_true_random=False))
def test_recreate_ends_and_never_mixes(old, desired, random):
    """Recreate reaches the desired fleet and never has old and new machines at the same time."""
    fleet = Fleet(new=s("new", 0), old=list(old))

    def check(state: Fleet) -> None:
        assert state.new.replicas == 0 or all(each.replicas == 0 for each in state.old)

    run(
        fleet,
        lambda new, old: plan_recreate(desired=desired, new=new, old=old),
        random.randrange,
        check,
    )
    assert fleet.new.available_replicas == desired
