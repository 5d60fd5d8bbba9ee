"""Leader election in a world where everything goes wrong, by seeds.

`CAPT_ELECTION_RUNS=10000` plays that many worlds instead of 200; a failure names the seed of its world.
`CAPT_ELECTION_SEED=123` plays that one.
"""

import os

import pytest

from capt.runtime import Metrics
from tests.support import virtual_time
from tests.support.elections import BACK_AT_WORK, simulate

RUNS = int(os.environ.get("CAPT_ELECTION_RUNS", "200"))
BLOCK = 25
SEEDS = (
    [range(int(seed), int(seed) + 1)]
    if (seed := os.environ.get("CAPT_ELECTION_SEED"))
    else [range(first, min(first + BLOCK, RUNS)) for first in range(0, RUNS, BLOCK)]
)


@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_inv_093_no_write_past_its_deadline_and_somebody_at_work_again(seeds):
    """Two or three candidates, hangs, losses, slowness, clock steps, pauses, suspends, deaths, server restarts.

    Every write is judged where it leaves its sender: the sender's own deadline has not passed, and the lease is its own on
    the server. Once all is well, somebody works within lease + 2.2 x retry + one request timeout; who follows a leader that
    releases does so within a second.
    """
    metrics = Metrics()
    written = 0
    for seed in seeds:
        outcome = virtual_time.run(simulate(seed, metrics))
        assert not outcome.problems, f"CAPT_ELECTION_SEED={seed}: {outcome.problems}"
        assert outcome.recovery <= BACK_AT_WORK
        assert outcome.handover is None or outcome.handover <= 1
        written += outcome.written
    assert written > 10 * len(seeds), "the simulation hardly ever let anybody lead"
