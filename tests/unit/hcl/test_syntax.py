from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from capt.hcl.syntax import loads

TEXT = """
variable "x" {
  nullable = false
}
""" + "\n".join(
    f'output "o{number}" {{\n  value     = "${{var.x[{number}]}}-${{(var.y)}}"\n  sensitive = true\n}}'
    for number in range(10)
)


@pytest.fixture
def _hasty_threads():
    """Have threads take turns after a microsecond each."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_hasty_threads")
def test_threads_do_not_disturb_one_another():
    """Engine and controllers read at the same time, each in a thread; python-hcl2 alone gets nearly all of this wrong."""
    alone = loads(TEXT)
    assert alone["output"][0]['"o0"']["sensitive"] is True
    with ThreadPoolExecutor(4) as threads:
        assert [read for read in threads.map(loads, [TEXT] * 40) if read != alone] == []
    assert loads(TEXT) == alone
