"""The executor that runs the real command, with modules of the builtin `terraform_data`."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from capt.runtime import Clock, SystemClock
from capt.runtime.testing import FakeClock
from capt.terraform.cli import DRAIN_SECONDS, CliExecutor, CliOptions, Gate, find_cli
from capt.terraform.executor import InvalidInputError, Output, Stage, TerraformError, WorkspaceInput
from tests.support.fifo import fifo

CLI = find_cli()
needs_terraform = [
    pytest.mark.terraform,
    pytest.mark.skipif(CLI is None, reason="neither terraform nor tofu is on PATH"),
]

MODULE = """
variable "name" { type = string }
variable "tags" {
  type    = map(any)
  default = {}
}
resource "terraform_data" "node" {
  input = { name = var.name, tags = var.tags }
}
output "name" { value = terraform_data.node.output.name }
output "tags" { value = var.tags }
output "list" { value = [1.5, true, "a"] }
output "secret" {
  value     = "hush ${var.name}"
  sensitive = true
}
"""
INPUT = WorkspaceInput(uid="0a1b-2c", name="node", module=MODULE, varmap={"name": "one"})

Make = Callable[..., CliExecutor]


def new_gate(parallelism: int, clock: Clock | None = None) -> Gate:
    return Gate(parallelism, clock=clock or SystemClock(), registry=CollectorRegistry())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "terraform"


@pytest.fixture
def make(root: Path) -> Make:
    def new(
        *, cli: Path | None = CLI, parallelism: int = 4, options: CliOptions | None = None
    ) -> CliExecutor:
        assert cli is not None
        return CliExecutor(cli=cli, root=root, gate=new_gate(parallelism), options=options)

    return new


class TestRealTerraform:
    pytestmark = needs_terraform

    async def test_from_nothing_to_nothing(self, make: Make, root: Path) -> None:
        """Create, find nothing to do, change a variable, heal what was lost, destroy: state and files follow."""
        executor = make()
        observed = await executor.observe(INPUT)
        assert (observed.exists, observed.up_to_date, observed.known) == (False, False, False)

        outputs = await executor.apply(INPUT)
        assert outputs == {
            "name": Output(value="one"),
            "tags": Output(value={}),
            "list": Output(value=[1.5, True, "a"]),
            "secret": Output(value="hush one", sensitive=True),
        }
        observed = await executor.observe(INPUT)
        assert (observed.exists, observed.up_to_date, observed.known) == (True, True, True)
        assert observed.outputs == outputs

        hostile = {"name": '"} ${path.root} $(id)', "tags": {"a": "%{ if true }"}}
        changed = replace(INPUT, varmap=hostile)
        assert not (await executor.observe(changed)).up_to_date
        outputs = await executor.apply(changed)
        assert outputs["name"].value == hostile["name"]
        assert outputs["tags"].value == hostile["tags"]

        state = root / INPUT.uid / "terraform.tfstate"
        assert stat.S_IMODE(state.stat().st_mode) == 0o600
        assert not await executor.forget(INPUT.uid)
        state.write_text(json.dumps({**json.loads(state.read_text()), "resources": []}))
        assert not (await executor.observe(changed)).up_to_date
        await executor.apply(changed)

        assert (await executor.observe(changed, deleting=True)).exists
        await executor.destroy(changed)
        assert json.loads(state.read_text())["resources"] == []
        assert not (await executor.observe(changed, deleting=True)).exists
        assert await executor.forget(INPUT.uid)
        assert not (root / INPUT.uid).exists()

    async def test_any_json_comes_out_as_it_went_in(self, make: Make) -> None:
        """Types survive, and no text is taken for HCL, for a template or for an escape."""
        corpus = {
            "types": [1, -2.5, 12345678901234567890, True, False, None, "", [], {}, [[1], {"a": [None]}]],
            "text": [
                "${path.root}", "$${x}", "%{ if true }x%{ endif }", '"', "\\", "\\n", "\n\t\r", "<<EOT\nx\nEOT",
                "'; rm -rf /", "$(id)", "`id`", "-destroy", "ünï ☃ 𝄞", "\u0001", "a=b", "# c", "// d", "null",
            ],
            "${key}": {'quoted "key"': "x"},
        }  # fmt: skip
        module = 'variable "v" { type = any }\noutput "v" { value = var.v }\n'
        asked = replace(INPUT, module=module, varmap={"v": corpus})
        executor = make()
        await executor.observe(asked)
        assert (await executor.apply(asked))["v"].value == corpus
        assert (await executor.observe(asked)).up_to_date

    async def test_its_own_words_come_back(self, make: Make) -> None:
        """A module that cannot be read fails at init, a missing variable at plan, each with Terraform's summary."""
        executor = make()
        with pytest.raises(TerraformError) as failed:
            await executor.observe(replace(INPUT, module='resource "a" {'))
        assert failed.value.stage is Stage.INIT
        assert failed.value.stderr
        with pytest.raises(TerraformError) as failed:
            await executor.observe(replace(INPUT, varmap={}))
        assert failed.value.stage is Stage.PLAN
        assert failed.value.summary == "No value for required variable"
        assert "╷" not in failed.value.stderr

    async def test_a_module_that_broke_is_still_destroyed(self, make: Make, root: Path) -> None:
        """With the module made unreadable and its variables gone, what was last applied is used to destroy."""
        await self.standing(make())
        executor = make()
        broken = replace(INPUT, module="resource {", varmap={})
        assert (await executor.observe(broken, deleting=True)).exists
        await executor.destroy(broken)
        assert json.loads((root / INPUT.uid / "terraform.tfstate").read_text())["resources"] == []

    async def test_the_note_of_a_killed_lock_holder_stops_nobody(self, make: Make, root: Path) -> None:
        """A lock file that an engine left behind when it was killed is no lock."""
        executor = make()
        await self.standing(executor)
        note = {
            "ID": "gone",
            "Operation": "OperationTypeApply",
            "Who": "x@y",
            "Created": "2026-01-01T00:00:00Z",
        }
        (root / INPUT.uid / ".terraform.tfstate.lock.info").write_text(json.dumps(note))
        changed = replace(INPUT, varmap={"name": "two"})
        await executor.observe(changed)
        assert (await executor.apply(changed))["name"].value == "two"

    async def test_an_apply_that_is_cancelled_keeps_its_state(self, make: Make, root: Path) -> None:
        """SIGTERM lets Terraform write what it has made; the next pass goes on from there."""
        module = """
            resource "terraform_data" "first" {}
            resource "terraform_data" "second" {
              input = terraform_data.first.id
              provisioner "local-exec" { command = "echo yes > started; exec sleep 60" }
            }
        """
        asked = replace(INPUT, module=module, varmap={})
        executor = make()
        await executor.observe(asked)
        async with fifo(root / INPUT.uid / "started") as started:
            task = asyncio.create_task(executor.apply(asked))
            await started.readline()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        state = json.loads((root / INPUT.uid / "terraform.tfstate").read_text())
        assert "first" in {resource["name"] for resource in state["resources"]}
        observed = await make().observe(asked)
        assert (observed.exists, observed.up_to_date, observed.known) == (True, False, True)

    async def test_a_remote_module_is_fetched_and_followed(self, make: Make, tmp_path: Path) -> None:
        """A module by address runs in its entrypoint; another address brings other files and keeps the state."""
        for version in ("v1", "v2"):
            source = tmp_path / version / "env"
            source.mkdir(parents=True)
            text = MODULE.replace('"hush ', f'"{version} ')
            (source / "main.tf").write_text(text)
        executor = make()
        first = replace(INPUT, source="Remote", module=str(tmp_path / "v1"), entrypoint="env")
        await executor.observe(first)
        created = await executor.apply(first)
        assert created["secret"].value == "v1 one"
        second = replace(first, module=str(tmp_path / "v2"))
        observed = await executor.observe(second)
        assert observed.outputs == created
        assert (await executor.apply(second))["secret"].value == "v2 one"
        with pytest.raises(TerraformError) as failed:
            await executor.observe(replace(first, module=str(tmp_path / "none")))
        assert failed.value.stage is Stage.FETCH
        assert (await executor.observe(second)).up_to_date

    async def test_a_module_may_bring_its_own_backend(self, make: Make, tmp_path: Path) -> None:
        """Where the module says where its state is, it lies there, and is seen by an engine that never made it."""
        kept = tmp_path / "kept.tfstate"
        backend = f'terraform {{\n  backend "local" {{ path = "{kept}" }}\n}}\n'
        asked = replace(INPUT, module=backend + MODULE)
        executor = make()
        assert not (await executor.observe(asked)).exists
        await executor.apply(asked)
        assert json.loads(kept.read_text())["resources"]
        assert not await executor.forget(asked.uid)
        await executor.destroy(asked)
        assert not (await executor.observe(asked, deleting=True)).exists

    @staticmethod
    async def standing(executor: CliExecutor) -> None:
        await executor.observe(INPUT)
        await executor.apply(INPUT)


async def test_flux_is_refused_with_a_way_out(make: Make) -> None:
    """A source that only the provider knows is named, together with those that work."""
    with pytest.raises(InvalidInputError, match=r"Flux is not supported.*Inline or Remote"):
        await make(cli=Path("/bin/true")).observe(replace(INPUT, source="Flux"))


FAKE = """#!/bin/sh
# stands in for terraform: notes when it runs
mkdir "$RUNS/$$"
ls "$RUNS" | wc -l >> "$RUNS.most"
{body}
rmdir "$RUNS/$$"
case "$1" in output) echo '{{}}';; esac
"""


def fake(tmp_path: Path, body: str) -> Path:
    cli = tmp_path / "fake-terraform"
    cli.write_text(FAKE.format(body=body))
    cli.chmod(0o700)
    (tmp_path / "runs").mkdir()
    return cli


async def test_parallelism_bounds_the_commands_of_all_executors(make: Make, tmp_path: Path) -> None:
    """However many Workspaces are due, no more than so many commands run, over all executors of one engine."""
    cli = fake(tmp_path, "sleep 0.1")
    gate = new_gate(2)
    executors = [CliExecutor(cli=cli, root=tmp_path / "t", gate=gate) for _ in range(2)]
    environment = {"RUNS": str(tmp_path / "runs")}
    async with asyncio.TaskGroup() as tasks:
        for number in range(6):
            asked = replace(INPUT, uid=f"u{number}", environment=environment)
            tasks.create_task(executors[number % 2].observe(asked))
    most = max(int(line) for line in (tmp_path / "runs.most").read_text().split())
    assert most == 2


async def test_a_command_that_hangs_is_reported(make: Make, tmp_path: Path) -> None:
    """After the limit the command is stopped, and the error says which it was and how long it took."""
    cli = fake(tmp_path, "exec sleep 60")
    executor = make(cli=cli, options=CliOptions(limit=0.2, grace=5))
    with pytest.raises(TerraformError) as failed:
        await executor.observe(replace(INPUT, environment={"RUNS": str(tmp_path / "runs")}))
    assert failed.value.summary == "stopped after 0.2 s: fake-terraform init"


async def test_a_stop_gives_commands_a_while_and_then_ends_them(tmp_path: Path) -> None:
    """When the manager stops, a command may go on for half of the manager's time; then it is stopped in order."""
    cli = fake(tmp_path, "echo yes > $RUNS.started; exec sleep 60")
    clock = FakeClock()
    gate = new_gate(2, clock)
    executor = CliExecutor(cli=cli, root=tmp_path / "t", gate=gate)
    asked = replace(INPUT, environment={"RUNS": str(tmp_path / "runs")})
    guard = asyncio.ensure_future(gate.guard())
    async with fifo(tmp_path / "runs.started") as started:
        running = asyncio.create_task(executor.observe(asked))
        await started.readline()
    guard.cancel()
    await asyncio.wait({guard})
    await clock.advance(DRAIN_SECONDS - 1)
    assert not running.done()
    await clock.advance(1)
    with pytest.raises(TerraformError, match="interrupted"):
        await running
    with pytest.raises(TerraformError, match="interrupted"):
        await executor.observe(asked)


async def test_another_term_of_leadership_opens_the_gate_again(tmp_path: Path) -> None:
    """A gate that was about to close, or has closed, when leadership was lost, lets commands pass in the next term."""
    clock = FakeClock()
    gate = new_gate(1, clock)
    for passed in (DRAIN_SECONDS / 2, DRAIN_SECONDS * 2):
        term = asyncio.ensure_future(gate.guard())
        term.cancel()
        await asyncio.wait({term})
        await clock.advance(passed)
        term = asyncio.ensure_future(gate.guard())
        await clock.advance(DRAIN_SECONDS * 2)
        assert not gate.closed.is_set()


async def test_commands_are_measured(tmp_path: Path) -> None:
    """Each command leaves its duration, told apart by what it was and by whether it succeeded."""
    registry = CollectorRegistry()
    gate = Gate(1, clock=SystemClock(), registry=registry)
    executor = CliExecutor(cli=fake(tmp_path, 'test "$1" != plan || exit 1'), root=tmp_path / "t", gate=gate)
    with pytest.raises(TerraformError):
        await executor.observe(replace(INPUT, environment={"RUNS": str(tmp_path / "runs")}))
    for command, result in (("init", "success"), ("plan", "error")):
        labels = {"command": command, "result": result}
        assert registry.get_sample_value("capt_terraform_command_seconds_count", labels) == 1


def test_the_command_is_found_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """terraform is preferred, tofu will do, and without both there is none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_cli() is None
    for name in ("tofu", "terraform"):
        (tmp_path / name).touch(mode=0o700)
        assert find_cli() == tmp_path / name
    assert find_cli("tofu", "terraform") == tmp_path / "tofu"
