"""All scripts, concern by concern: the modules in ``scripts``, in the order of their names."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.steps import Script, Send


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """One module of scripts; ``title`` is the first line of its docstring."""

    name: str
    title: str
    scripts: tuple[Script, ...]

    @property
    def requests(self) -> int:
        """How many requests its scripts send, watches included, polling not."""
        steps = [step for script in self.scripts for step in script.steps]
        return sum(isinstance(step, Send) or type(step).__name__ == "Watch" for step in steps)


def concerns() -> list[Concern]:
    """Every concern."""
    found = []
    for path in sorted((Path(__file__).parent / "scripts").glob("*.py")):
        module = importlib.import_module(f"tests.conformance.scripts.{path.stem}")
        title = (module.__doc__ or "").splitlines()[0].rstrip(".")
        found.append(Concern(name=path.stem, title=title, scripts=tuple(module.SCRIPTS)))
    return found
