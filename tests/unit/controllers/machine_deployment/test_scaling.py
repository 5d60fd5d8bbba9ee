from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capt.controllers.machine_deployment.rollout import SetState
from capt.controllers.machine_deployment.scaling import plan_paused


def s(name: str, spec: int) -> SetState:
    return SetState(name=name, spec_replicas=spec, replicas=spec, available_replicas=spec)


@pytest.mark.parametrize(
    ("desired", "surge", "new", "old", "expected"),
    [
        pytest.param(5, 1, s("n", 3), [], {"n": 5}, id="a single set follows"),
        pytest.param(1, 1, s("n", 3), [s("a", 0)], {"n": 1}, id="an empty old set does not count"),
        pytest.param(
            5, 1, s("n", 0), [s("a", 3)], {"a": 5}, id="the only set with machines follows, though old"
        ),
        pytest.param(2, 1, None, [s("a", 0), s("b", 0)], {"b": 2}, id="from zero the newest set grows"),
        pytest.param(3, 1, s("n", 1), [s("a", 3)], {}, id="a surge under way stays as it is"),
        pytest.param(4, 1, s("n", 1), [s("a", 3)], {}, id="enough already"),
        pytest.param(8, 0, s("n", 1), [s("a", 3)], {"n": 2, "a": 6}, id="growth is shared in proportion"),
        pytest.param(
            2, 0, s("n", 1), [s("a", 3)], {"n": 0, "a": 2}, id="the largest gets what rounding leaves"
        ),
        pytest.param(0, 1, s("n", 1), [s("a", 3)], {"n": 0, "a": 0}, id="zero is zero"),
        pytest.param(3, 1, None, [], {}, id="no set, nothing to scale"),
    ],
)
def test_paused_scaling(desired, surge, new, old, expected):
    """Sizes follow `replicas` while the mix of templates stays."""
    plan = plan_paused(desired=desired, max_surge=surge, new=new, old=old)
    assert plan.replicas == expected
    assert plan.reasons.keys() == expected.keys()


def test_reasons_say_how_much_and_why():
    """The sentence that follows "from ... to ..." adds what that does not say."""
    shrunk = plan_paused(desired=8, max_surge=0, new=s("n", 0), old=[s("a", 9)])
    assert shrunk.reasons == {"a": "shrinks by 1: 8 machines desired, the rollout is paused"}
    grown = plan_paused(desired=2, max_surge=0, new=s("n", 1), old=[])
    assert grown.reasons == {"n": "grows by 1: 2 machines desired, the rollout is paused"}


@given(st.integers(0, 20), st.integers(0, 3), st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_paused_scaling_ends_within_desired_and_surge(desired, surge, sizes):
    """Whatever it starts from, the sum lands between desired and desired plus surge, and stays there."""
    sets = [s(f"s{index}", size) for index, size in enumerate(sizes)]
    first = plan_paused(desired=desired, max_surge=surge, new=sets[-1], old=sets[:-1])
    after = [s(each.name, first.replicas.get(each.name, each.spec_replicas)) for each in sets]
    total = sum(each.spec_replicas for each in after)
    assert desired <= total <= (desired + surge if desired else 0)
    again = plan_paused(desired=desired, max_surge=surge, new=after[-1], old=after[:-1])
    assert sum(again.replicas.get(e.name, e.spec_replicas) for e in after) <= total
