from __future__ import annotations

from datetime import timedelta

from capt.controllers.machine.availability import available_at, is_available, is_ready
from tests.support.machines import NOW, machine


def test_without_min_ready_seconds_ready_is_available():
    """With `minReadySeconds` 0 a machine is available as soon as it is ready."""
    assert is_available(machine(ready=0), 0, NOW)
    assert not is_available(machine(), 0, NOW)


def test_never_available_before_its_time():
    """Timestamps have whole seconds: the second in which it became ready does not count."""
    ready = machine(ready=0)
    assert not is_available(ready, 10, NOW + timedelta(seconds=10.9))
    assert is_available(ready, 10, NOW + timedelta(seconds=11))
    assert available_at(ready, 10) == NOW + timedelta(seconds=11)


def test_a_machine_being_deleted_is_neither_ready_nor_available():
    """What is on its way out does not count, whatever its condition still says."""
    leaving = machine(ready=100, deleting=True)
    assert not is_ready(leaving)
    assert not is_available(leaving, 0, NOW)
