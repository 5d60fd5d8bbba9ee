"""The same requests to the real and to the embedded API server have the same answers."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.conformance import catalogue
from tests.conformance.differences import is_known
from tests.conformance.normal import differences, normalise
from tests.conformance.player import Entry, play
from tests.conformance.servers import Servers
from tests.conformance.steps import Script

pytestmark = pytest.mark.envtest


def compare(concern: str, script: Script, real: list[Entry], embedded: list[Entry]) -> list[str]:
    """The differences between two transcripts that are not known ones, in lines to read."""
    left, right = (normalise([outcome for _, outcome in transcript]) for transcript in (real, embedded))
    lines: list[str] = []
    for (step, _), one, other in zip(real, left, right, strict=True):
        found = [
            f"    {where}: {text}"
            for where, text in differences(one, other)
            if not is_known(f"{concern}: {script.fact}", where)
        ]
        lines += [f"  {step}", *found] if found else []
    return lines


@pytest.mark.parametrize(
    ("concern", "number", "script"),
    [
        pytest.param(c.name, number, script, id=f"{c.name}-{re.sub('[^a-z0-9]+', '-', script.fact.lower())}")
        for c in catalogue.concerns()
        for number, script in enumerate(c.scripts)
    ],
)
async def test_both_servers_answer_alike(servers: Servers, concern: str, number: int, script: Script) -> None:
    """Status codes, warnings, objects and events of the script are the same, but for the known differences."""
    namespace = f"{concern.replace('_', '-')}-{number}"
    real, embedded = await asyncio.gather(
        play(servers.real, script, namespace), play(servers.embedded, script, namespace)
    )
    found = compare(concern, script, real, embedded)
    assert not found, "\n" + "\n".join(found)
