from __future__ import annotations

from datetime import timedelta

from capt.controllers import names
from capt.controllers.machine_deployment.history import current_revision, revision_of, surplus_sets
from capt.controllers.machine_deployment.observation import effective_selector, observe
from tests.support.machines import GROUP, NODE, NOW, ago, counts, deployment, machine, machine_set

REVISION = names.DEPLOYMENT_REVISION_ANNOTATION
OTHER = {**NODE, "instanceType": "t3.large"}


def observed(of, *sets, machines=None, now=NOW):
    return observe(
        deployment=of, selector=effective_selector(of), sets=sets, machines=machines or {}, now=now
    )


def name_of(machine_set):
    return None if machine_set is None else machine_set.metadata.name


def test_the_set_with_an_equal_template_is_the_new_one():
    """Equality of templates decides, not the name."""
    seen = observed(
        deployment(), machine_set("a", spec=OTHER), machine_set("b"), machine_set("c", spec=GROUP)
    )
    assert name_of(seen.new) == "b"
    assert [name_of(each) for each in seen.old] == ["a", "c"]


def test_changes_in_place_start_no_rollout():
    """Labels and tags of the template leave the set current."""
    changed = deployment(spec={**NODE, "tags": {"a": "b"}}, labels={"x": "y"})
    assert name_of(observed(changed, machine_set("a")).new) == "a"
    assert observed(changed).new_name == observed(deployment()).new_name


def test_of_several_the_fullest_then_the_oldest():
    """When two sets match, the fuller one wins, then the older."""
    fuller = [machine_set("a", replicas=1, age=900), machine_set("b", replicas=2, age=10)]
    assert name_of(observed(deployment(), *fuller).new) == "b"
    older = [machine_set("b", replicas=2, age=10), machine_set("a", replicas=2, age=900)]
    assert name_of(observed(deployment(), *older).new) == "a"


def test_old_sets_are_oldest_first_with_ties_by_name():
    """The planner gets the old sets by age."""
    sets = [machine_set(n, spec=OTHER, age=a) for n, a in (("y", 10), ("x", 10), ("z", 99))]
    assert [name_of(each) for each in observed(deployment(), *sets).old] == ["z", "x", "y"]


def test_a_set_being_deleted_is_never_the_new_one():
    """Its name has to be free before it can be made again; its machines count while they exist."""
    name = observed(deployment()).new_name
    seen = observed(deployment(), machine_set(name, deleting=True, status=counts(2)))
    assert seen.new is None
    assert seen.name_is_leaving
    assert (seen.old_states[0].spec_replicas, seen.old_states[0].replicas) == (0, 2)


def test_rollout_after_needs_a_set_made_since():
    """Once the time has come, a set made before it is old; before that, nothing changes."""
    restarted = deployment(rolloutAfter=ago(60))
    made_before, made_since = machine_set("a", age=600), machine_set("b", age=30)
    assert observed(restarted, made_before).new is None
    assert name_of(observed(restarted, made_before, made_since).new) == "b"
    future = deployment(rolloutAfter=ago(-60))
    assert name_of(observed(future, made_before).new) == "a"
    assert name_of(observed(future, made_before, now=NOW + timedelta(seconds=61)).new) is None


def test_rollout_after_is_not_fooled_by_the_servers_clock():
    """A set made for the restart is known by its name, even if the server dates it before the restart."""
    restarted = deployment(rolloutAfter=ago(0))
    name = observed(restarted).new_name
    assert name != observed(deployment()).new_name
    assert name_of(observed(restarted, machine_set(name, age=5)).new) == name


def test_a_collision_gives_another_name():
    """`collisionCount` is part of the hash."""
    assert observed(deployment()).new_name != observed(deployment(status={"collisionCount": 1})).new_name


def test_the_default_selector_is_the_deployments_name():
    """B-M05: Without a selector a deployment selects by its own name; with one, by that."""
    assert str(effective_selector(deployment("d"))) == "cluster.x-k8s.io/deployment-name=d"
    chosen = deployment(selector={"matchLabels": {"role": "worker"}}, labels={"role": "worker"})
    assert str(effective_selector(chosen)) == "role=worker"


def test_machines_that_the_set_has_not_reported_count():
    """The cache may know of more machines than the set's status does."""
    seen = observed(
        deployment(), machine_set("a", spec=OTHER), machines={"uid-a": [machine("m"), machine("n")]}
    )
    assert seen.old_states[0].replicas == 2


def test_an_old_set_that_has_not_answered_may_still_make_machines():
    """Recreate waits for a set that has not seen its latest spec, though it reports no machines."""
    silent = machine_set("a", spec=OTHER, replicas=0, metadata={"generation": 2})
    seen = observed(deployment(), silent)
    assert seen.old_states[0].replicas == 0
    assert seen.old_states_at_most[0].replicas == 1


def test_fenceposts_follow_the_strategy():
    """Only RollingUpdate has a surge or lets machines be missing."""
    assert observed(deployment()).fenceposts == (1, 0)
    limits = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 1}}
    assert observed(deployment(strategy=limits)).fenceposts == (2, 1)
    assert observed(deployment(strategy={"type": "Recreate"})).fenceposts == (0, 0)


def revised(name, revision, **fields):
    return machine_set(name, metadata={"annotations": {REVISION: str(revision)}}, **fields)


def test_revisions_only_go_up():
    """A new set, and an old one that becomes current again, get the next number; a current one keeps its own."""
    old = [revised("a", 1), revised("b", 3)]
    assert current_revision(None, old) == 4
    assert current_revision(revised("c", 2), old) == 4
    assert current_revision(revised("c", 7), old) == 7
    assert current_revision(None, []) == 1
    assert revision_of(machine_set()) == 0


def test_history_keeps_the_newest_empty_sets():
    """Beyond the limit the oldest revisions go; sets with machines, or silent about them, stay."""
    empty = [revised(f"e{n}", n, replicas=0) for n in range(1, 5)]
    busy = revised("busy", 0, replicas=0, status=counts(1))
    silent = machine_set("silent", replicas=0, metadata={"generation": 2})
    asked = revised("asked", 0, replicas=1)
    gone = surplus_sets([busy, silent, asked, *empty], 2)
    assert sorted(each.metadata.name for each in gone) == ["e1", "e2"]
    assert surplus_sets(empty, 10) == ()
