"""How patient the engine is with Terraform and the clouds behind it."""

from capt import terraform
from capt.runtime import Manager
from tests.support.memory_api import MemoryApi


async def test_the_engine_tries_again_after_a_second_at_first_and_five_minutes_at_most(tmp_path, monkeypatch):
    """Each of its tries may run Terraform: the runtime's default, 5 ms at first, is for what costs nothing."""
    manager = Manager(None, transport=MemoryApi("things"))
    controllers = []
    monkeypatch.setattr(manager, "add", controllers.append)
    terraform.add_to(manager, engine="simulated", data_dir=tmp_path)
    assert len(controllers) == 4
    for controller in controllers:
        delays = [controller.backoff.delay(failures) for failures in range(12)]
        assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
