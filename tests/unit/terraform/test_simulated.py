"""The executor that runs nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from capt.runtime.testing import FakeClock
from capt.terraform.executor import (
    InterruptedRunError,
    InvalidInputError,
    Output,
    Stage,
    TerraformError,
    WorkspaceInput,
)
from capt.terraform.simulated import SimulatedExecutor, Simulation

MODULE = """
variable "name" { type = string }
variable "size" { default = "small" }
resource "aws_instance" "node" {}
output "instance_id" { value = aws_instance.node.id }
output "label" { value = "${var.name}-${var.size}" }
output "token" {
  value     = var.name
  sensitive = true
}
"""
INPUT = WorkspaceInput(uid="0a1b", name="node", module=MODULE, varmap={"name": "one"})


def make(simulation: Simulation | None = None, directory: Path | None = None) -> SimulatedExecutor:
    return SimulatedExecutor(clock=FakeClock(), simulation=simulation, directory=directory)


async def test_from_nothing_to_nothing() -> None:
    """It creates, finds nothing to do, applies a change, destroys, and forgets, as Terraform would."""
    executor = make()
    observed = await executor.observe(INPUT)
    assert (observed.exists, observed.up_to_date) == (False, False)
    outputs = await executor.apply(INPUT)
    assert outputs["label"] == Output(value="one-small")
    assert outputs["token"] == Output(value="one", sensitive=True)
    assert outputs["instance_id"].value.startswith("i-")
    observed = await executor.observe(INPUT)
    assert (observed.exists, observed.up_to_date, observed.outputs) == (True, True, outputs)
    changed = replace(INPUT, varmap={"name": "two", "size": "big"})
    assert not (await executor.observe(changed)).up_to_date
    after = await executor.apply(changed)
    assert after["label"].value == "two-big"
    assert after["instance_id"] == outputs["instance_id"]
    assert not await executor.forget(INPUT.uid)
    await executor.destroy(changed)
    assert not (await executor.observe(changed, deleting=True)).exists
    assert await executor.forget(INPUT.uid)


@pytest.mark.parametrize(
    ("asked", "stage", "summary"),
    [
        (replace(INPUT, varmap={}), Stage.PLAN, "No value for required variable"),
        (replace(INPUT, variables=(("nope", "1"),)), Stage.PLAN, "Value for undeclared variable"),
        (replace(INPUT, module="resource {"), Stage.INIT, "Invalid configuration"),
    ],
)
async def test_it_fails_in_terraforms_words(asked: WorkspaceInput, stage: Stage, summary: str) -> None:
    """What Terraform would refuse is refused at the same stage with the same summary."""
    with pytest.raises(TerraformError) as failed:
        await make().observe(asked)
    assert (failed.value.stage, failed.value.summary) == (stage, summary)


async def test_a_missing_variable_is_shown_where_it_is_declared() -> None:
    """The whole text names file, line and variable."""
    with pytest.raises(TerraformError) as failed:
        await make().observe(replace(INPUT, varmap={}))
    assert 'on main.tf line 2:\n   2: variable "name" { type = string }' in failed.value.stderr


async def test_a_broken_module_can_be_destroyed() -> None:
    """Deletion looks at what stands, not at the module."""
    executor = make()
    await executor.apply(INPUT)
    broken = replace(INPUT, module="resource {")
    assert (await executor.observe(broken, deleting=True)).exists
    await executor.destroy(broken)
    assert not (await executor.observe(broken, deleting=True)).exists


async def test_a_restart_remembers(tmp_path: Path) -> None:
    """What stood before stands after, and what was destroyed does not come back."""
    executor = make(directory=tmp_path)
    await executor.apply(INPUT)
    other = replace(INPUT, uid="ffff")
    await executor.apply(other)
    await executor.destroy(other)
    again = make(directory=tmp_path)
    observed = await again.observe(INPUT)
    assert (observed.exists, observed.up_to_date) == (True, True)
    assert observed.outputs["token"].sensitive
    assert not (await again.observe(other)).exists


async def test_latency_passes_on_the_clock() -> None:
    """An apply takes as long as the simulation says, by the clock that it was given."""
    clock = FakeClock()
    executor = SimulatedExecutor(clock=clock, simulation=Simulation(apply_seconds=60))
    task = asyncio.create_task(executor.apply(INPUT))
    await clock.advance(59.9)
    assert not task.done()
    await clock.advance(0.2)
    await task


async def test_failures_follow_the_seed() -> None:
    """The same seed fails the same applies in the same order, another seed others; retries succeed in the end."""

    async def failures(seed: int) -> list[str]:
        executor = make(Simulation(seed=seed, failure_rate=0.5))
        results = []
        for _ in range(32):
            try:
                await executor.apply(INPUT)
            except TerraformError as error:
                results.append(f"{error.stage.name}: {error.summary}")
            else:
                results.append("")
        return results

    first = await failures(1)
    said = "waiting for the simulated cloud: RequestLimitExceeded: Request limit exceeded."
    assert set(first) == {f"APPLY: {said}", ""}
    assert await failures(1) == first
    assert await failures(2) != first


async def test_drift_is_found_and_repaired() -> None:
    """With drift a plan of what is up to date finds a change, and an apply brings the same outputs again."""
    executor = make(Simulation(drift_rate=1.0))
    outputs = await executor.apply(INPUT)
    observed = await executor.observe(INPUT)
    assert (observed.exists, observed.up_to_date) == (True, False)
    assert await executor.apply(INPUT) == outputs


async def test_sources_other_than_inline() -> None:
    """A remote module stands without outputs, since nobody has read it; Flux is refused."""
    executor = make()
    remote = replace(INPUT, source="Remote", module="example/module")
    assert await executor.apply(remote) == {}
    assert (await executor.observe(remote)).up_to_date
    with pytest.raises(InvalidInputError, match="Flux"):
        await executor.observe(replace(INPUT, source="Flux"))


async def test_a_first_apply_that_fails_leaves_something() -> None:
    """As with Terraform, what was made before the failure is in the state, and the next try is an update."""
    executor = make(Simulation(failure_rate=1.0))
    with pytest.raises(TerraformError):
        await executor.apply(INPUT)
    observed = await executor.observe(INPUT)
    assert (observed.exists, observed.up_to_date, observed.outputs) == (True, False, {})


async def test_an_interruption_hits_a_first_apply_only() -> None:
    """The engine is killed while it creates; what stands then stands."""
    executor = make(Simulation(interruption_rate=1.0))
    with pytest.raises(InterruptedRunError):
        await executor.apply(INPUT)
    assert (await executor.observe(INPUT)).up_to_date
    assert await executor.apply(INPUT)
