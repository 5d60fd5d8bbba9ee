"""From a value in a manifest through Terraform and back."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from capt.controllers.workspace_template_apply.render import Rendered, render
from capt.hcl import parse
from capt.runtime import SystemClock
from capt.terraform import CliExecutor, Gate, WorkspaceInput, find_cli
from tests.support.chain import TERRAFORM, apply_of, template

COUNT = 200
# Terraform brings every string into Unicode's composed form, and says so
TEXT = st.text().map(lambda text: unicodedata.normalize("NFC", text))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9, width=32) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.embedded
@pytest.mark.terraform
@pytest.mark.skipif(find_cli() is None, reason="neither terraform nor tofu is on PATH")
async def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    """Two hundred JSON values, rendered with a module that is checked and run by the real CLI, come out as they were."""
    values = {f"v{number}": value for number, value in enumerate(samples())}
    module = "".join(
        f'variable "{name}" {{ type = any }}\noutput "{name}" {{ value = var.{name} }}\n' for name in values
    )
    rendered = render(
        template=template(module).spec,
        apply=apply_of(values=values).spec,
        namespace="default",
        workspace_name="w",
        flavour=TERRAFORM,
        declarations=parse(module, "HCL"),
        template_namespace="default",
        cross_namespace=False,
    )
    assert isinstance(rendered, Rendered)
    cli = find_cli()
    assert cli is not None
    gate = Gate(1, clock=SystemClock(), registry=CollectorRegistry())
    executor = CliExecutor(cli=cli, root=tmp_path, gate=gate)
    asked = WorkspaceInput(uid="u", name="w", module=module, varmap=rendered.spec["forProvider"]["varmap"])
    await executor.observe(asked)
    await executor.claim(asked)
    outputs = await executor.apply(asked)
    # an output that is null is none, in Terraform's state as in what it prints
    assert {name: output.value for name, output in outputs.items()} == {
        name: value for name, value in values.items() if value is not None
    }


def samples() -> list[Any]:
    """Return values, the same in every run."""
    found: list[Any] = []

    @seed(2026)
    @settings(max_examples=COUNT, database=None, phases=(Phase.generate,))
    @given(VALUES)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found
